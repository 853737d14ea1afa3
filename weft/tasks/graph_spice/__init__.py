"""Graph-SPICE: fragments as connected components of a graph on voxels (spine_full_chain spec §1.5)."""

from weft.tasks.graph_spice.task import GraphSpice

TASK = GraphSpice
