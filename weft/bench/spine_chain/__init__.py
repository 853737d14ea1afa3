"""The stages of the chain in SPINE: each is fed what ours was fed, with the same weights, and compared with what ours
made.

Nothing of SPINE is changed. What ours has from elsewhere, and SPINE makes in a stage, it makes in its time too, and
then takes ours: the ends of clusters before GrapPA, and the classes of voxels where points are held against them. So
both sides do the whole work, and yet what they answer can be compared.
"""

from collections.abc import Mapping

from weft.bench.spine_chain.aggregation import Aggregation
from weft.bench.spine_chain.clustering import Fragments, GraphSpice
from weft.bench.spine_chain.reconstruction import Reconstruction
from weft.bench.spine_chain.side import Side
from weft.bench.spine_chain.voxelwise import Points, Segmentation

__all__ = ["SIDES", "Side"]

SIDES: Mapping[str, type[Side]] = {
    "uresnet": Segmentation,
    "points": Points,
    "graph_spice": GraphSpice,
    "fragments": Fragments,
    "shower": Aggregation,
    "track": Aggregation,
    "interaction": Aggregation,
    "reconstruction": Reconstruction,
}
"""SPINE's counterpart of each stage; `candidates` are made by its aggregation"""
