"""GrapPA, the graph particle aggregator: fragments to showers and tracks, particles to interactions.

Drielsma et al., arXiv:2007.01335; spine_full_chain spec §1.7, §1.8 and §2.
"""

from weft.tasks.grappa.task import Grappa

TASK = Grappa
