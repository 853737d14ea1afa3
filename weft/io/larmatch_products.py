"""Products of LArMatch: scores of triplets, space points and key points.

Positions in cm, in the coordinates of the detector, for charge of time zero (`weft.io.wire_products`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from weft.io.products import Schema, structured

#: Kinds of key points (specs/larmatch.md §3.1), by number.
KEY_POINT_KINDS = ("nu_vertex", "track_start", "track_end", "shower_start", "michel", "delta")
#: As a reader knows them.
KEY_POINT_NAMES: Mapping[str, str] = {
    "nu_vertex": "neutrino vertex",
    "track_start": "track start",
    "track_end": "track end",
    "shower_start": "shower start",
    "michel": "Michel electron",
    "delta": "delta ray",
}
_KINDS = dict(enumerate(KEY_POINT_KINDS))


#: How the columns begin that a head of the network fills.
_PREFIXES = {
    "larmatch": "larmatch",
    "key_points": "key_",
    "semantics": "class_",
    "affinity": "affinity_",
    "shift": "shift_",
}


def columns_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns of `triplet_scores` by the head that fills them, in the order of its numbers; no other names."""
    found: dict[str, list[str]] = {}
    for name in names:
        for head, prefix in _PREFIXES.items():
            if name.startswith(prefix):
                found.setdefault(head, []).append(name)
    return found


def triplet_scores(heads: Collection[str] = (), classes: Sequence[str] = ()) -> Schema:
    """Schema of what a network says of triplets: `larmatch`, and the columns of the other heads that it has.

    classes: names of the semantic classes, of which there are columns where `semantics` is a head.
    """
    endings = {
        "larmatch": [("", "", "probability that charge really arrived at its three pixels")],
        "key_points": [(kind, "", f"closeness to a {kind}: 1 there, exp(−d²/2σ²)") for kind in KEY_POINT_KINDS],
        "semantics": [(name, "", f"probability of {name}, if it is good") for name in classes],
        "affinity": [(axis, "", f"{axis} of the unit vector along the particle") for axis in "xyz"],
        "shift": [
            (f"{kind}_{axis}", "cm", f"{axis} of the way to the nearest {kind}")
            for kind in KEY_POINT_KINDS
            for axis in "xyz"
        ],
    }
    columns = [
        (_PREFIXES[head] + ending, "f4", unit, meaning)
        for head, its in endings.items()
        if head == "larmatch" or head in heads
        for ending, unit, meaning in its
    ]
    dtype, described = structured(*columns)
    return Schema(
        "triplet_scores", "table", dtype, described, on="triplets", filtered=True,
        description="what the network says of each triplet that it scores at least `min_score`",
    )  # fmt: skip


def space_points(scores: Schema) -> Schema:
    """Schema of the triplets that are kept, with all that is known of them; `scores`: of `triplet_scores`."""
    dtype, described = structured(
        ("triplet", "i4", "", "row of `triplets`"),
        ("tpc", "i1", "", "drift volume"),
        ("row", "i4", "", "row of the images"),
        *((f"wire_{plane}", "i4", "", f"wire of plane {plane}") for plane in range(3)),
        *((f"charge_{plane}", "f4", "ADC", f"of its pixel in plane {plane}; 0: a dead wire") for plane in range(3)),
        ("dead_plane", "i1", "", "plane in which its wire is dead; −1: in none"),
        *((axis, "f4", "cm", f"{axis} of the point nearest to the three wires, time zero") for axis in "xyz"),
    )  # fmt: skip
    scored = np.dtype([*dtype.descr, *scores.dtype.descr])
    return Schema(
        "space_points", "table", scored, (*described, *scores.columns),
        description="triplets that are kept as points, and what the network says of them; in the order of `triplets`",
    )  # fmt: skip


_dtype, _columns = structured(
    *((axis, "f4", "cm", axis) for axis in "xyz"),
    ("kind", "i1", "", "kind of key point"),
    ("score", "f4", "", "larmatch score times key-point score where it is highest"),
    ("support", "i4", "", "space points that agree: within the radius of the suppression, above its threshold"),
)
KEY_POINTS = Schema(
    "key_points", "table", _dtype, _columns, codes={"kind": _KINDS},
    description="points where particles start, end or decay; by kind, best first",
)  # fmt: skip

_dtype, _columns = structured(
    *((axis, "f4", "cm", axis) for axis in "xyz"),
    ("kind", "i1", "", "kind of key point"),
    ("particle", "i4", "", "row of `particles`; −1: of none, a vertex"),
)
TRUE_KEY_POINTS = Schema(
    "true_key_points", "table", _dtype, _columns, codes={"kind": _KINDS},
    description="where particles truly start, end or decay, as far as the readout sees it; by kind and particle",
)  # fmt: skip
