"""Products of the reconstruction chain: points, fragments, candidates, groups, particles, interactions.

Positions are in cm, energies in MeV. A product that a stage predicts and its true counterpart have the same name and
form; the true one is derived from `clusters`, `particles` and `semantics` where a store does not hold it
(:mod:`weft.reco.truth`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.io.products import CLASSES, Column, Schema, structured

#: Particle types of the chain, by number (spec: PDG to PID); −1 is none of them.
PHOTON, ELECTRON, MUON, PION, PROTON, KAON = range(6)
PIDS = {PHOTON: "photon", ELECTRON: "electron", MUON: "muon", PION: "pion", PROTON: "proton", KAON: "kaon"}

_NAMES = [CLASSES[c] for c in range(5)]


def xyz_columns(name: str, what: str, unit: str = "cm") -> list[tuple[str, str, str, str]]:
    return [(f"{name}_{axis}", "f4", unit, f"{axis} of {what}") for axis in "xyz"]


# ------------------------------------------------------------------------------------------------------ points

_dtype, _columns = structured(
    *((axis, "f4", "cm", "position") for axis in "xyz"),
    ("class", "i1", "", "semantic class of the particle that starts or ends here"),
    ("score", "f4", "", "probability that there is a point"),
    ("end_score", "f4", "", "probability that it is the end of a track, not a start; NaN where nobody said"),
    ("occupancy", "i4", "", "voxels that proposed it"),
    *((f"score_{name}", "f4", "", "probability of the class") for name in _NAMES),
)
POINTS = Schema(
    "points", "table", _dtype, _columns, codes={"class": CLASSES}, description="starts and ends of particles"
)

#: What PPN says at every voxel: where the nearest point is, and how sure it is of it.
POINT_PROPOSALS = Schema(
    "point_proposals",
    "table",
    np.dtype("f4"),
    (
        *(Column(f"d{axis}", "voxel", "from the centre of the voxel to the point") for axis in "xyz"),
        Column("score", "", "probability that a point is near"),
        *(Column(f"score_{name}", "", "probability of the class") for name in _NAMES),
        Column("end_score", "", "probability that it is an end; NaN where nobody said"),
    ),
    on="voxels",
    description="points as each voxel proposes them, before they are merged; 0 score where a coarser scale masked it",
)

# ------------------------------------------------------------------------------------- fragments and candidates


def _voxel_list(name: str, items_on: str, description: str) -> Schema:
    return Schema(
        name,
        "list",
        np.dtype("i4"),
        (Column("voxel", "", "row of `voxels` in this event"),),
        on="voxels",
        items_on=items_on,
        description=description,
    )


_NODE = [
    ("shape", "i1", "", "semantic class"),
    ("size", "i4", "", "voxels"),
    ("energy", "f4", "MeV", "visible energy"),
    *xyz_columns("start", "the start"),
    *xyz_columns("end", "the end; the start again where it is no track"),
]
_dtype, _columns = structured(*_NODE)
FRAGMENTS = Schema(
    "fragments", "table", _dtype, _columns, codes={"shape": CLASSES},
    description="pieces of one class that belong together, before anything is grouped; they do not overlap",
)  # fmt: skip
FRAGMENT_VOXELS = _voxel_list("fragment_voxels", "fragments", "voxels of each fragment, increasing")

_dtype, _columns = structured(*_NODE, ("primary_fragment", "i4", "", "row of `fragments` where the particle starts"))
CANDIDATES = Schema(
    "candidates", "table", _dtype, _columns, codes={"shape": CLASSES},
    description="particle candidates: groups of fragments, what GrapPA-interaction takes as nodes",
)  # fmt: skip
CANDIDATE_VOXELS = _voxel_list("candidate_voxels", "candidates", "voxels of each candidate, increasing")
CANDIDATE_FRAGMENTS = Schema(
    "candidate_fragments",
    "list",
    np.dtype("i4"),
    (Column("fragment", "", "row of `fragments` in this event"),),
    on="fragments",
    items_on="candidates",
    description="fragments of each candidate, increasing",
)

# ---------------------------------------------------------------------------------------------------- grouping


def groups(instance: str, nodes: str) -> Schema:
    """int32 (n,1) `<instance>_groups`: the group of each row of `nodes` (fragments or candidates), numbered by the
    lowest row in it; −1 for what the instance leaves alone."""
    return Schema(
        f"{instance}_groups",
        "table",
        np.dtype("i4"),
        (Column("group", "", "lowest row of the group; −1: not a node of this graph"),),
        on=nodes,
        description=f"groups of {nodes} by GrapPA-{instance}",
    )


def edges(instance: str, nodes: str) -> Schema:
    """`<instance>_edges`: the pairs of rows that were judged, once each, source < target."""
    dtype, columns = structured(
        ("source", "i4", "", f"row of `{nodes}`"),
        ("target", "i4", "", f"row of `{nodes}`"),
        ("score", "f4", "", "probability that the two belong together, mean of both directions"),
    )
    return Schema(f"{instance}_edges", "table", dtype, columns, description=f"edges of GrapPA-{instance}")


def node_scores(instance: str, head: str, nodes: str, columns: Sequence[Column]) -> Schema:
    """float32 (n, columns) `<instance>_<head>`: one output of GrapPA on each row of `nodes`; NaN where it is none."""
    return Schema(f"{instance}_{head}", "table", np.dtype("f4"), tuple(columns), on=nodes)


def primary(instance: str, nodes: str) -> Schema:
    """float32 (n,1): probability that the node is the primary one of its group or interaction."""
    return node_scores(instance, "primary", nodes, [Column("score", "", "probability")])


def pid(instance: str, nodes: str, types: int = 5) -> Schema:
    """float32 (n, types): probability of each particle type."""
    return node_scores(instance, "pid", nodes, [Column(PIDS[k], "", "probability") for k in range(types)])


def orientation(instance: str, nodes: str) -> Schema:
    """float32 (n,1): probability that the start and the end of a track stand the right way round."""
    return node_scores(instance, "orientation", nodes, [Column("score", "", "probability")])


def momentum(instance: str, nodes: str) -> Schema:
    """float32 (n,1): size of the initial momentum."""
    return node_scores(instance, "momentum", nodes, [Column("p", "MeV/c", "size of the initial momentum")])


def vertex(instance: str, nodes: str) -> Schema:
    """float32 (n,4): probability of being primary as the vertex head sees it, and where the interaction began."""
    columns = [Column("score", "", "probability"), *(Column(axis, "cm", "vertex") for axis in "xyz")]
    return node_scores(instance, "vertex", nodes, columns)
