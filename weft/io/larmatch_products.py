"""Products of LArMatch: scores of triplets, space points and key points.

Positions in cm, in the coordinates of the detector, for charge of time zero (`weft.io.wire_products`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.io.products import Schema, structured

#: Kinds of key points (specs/larmatch.md §3.1), by number.
KEY_POINT_KINDS = ("nu_vertex", "track_start", "track_end", "shower_start", "michel", "delta")
_KINDS = dict(enumerate(KEY_POINT_KINDS))


def triplet_scores(classes: Sequence[str] = (), key_points: bool = False, affinity: bool = False,
                   shift: bool = False) -> Schema:  # fmt: skip
    """Schema of what a network says of triplets; columns of the heads that it has.

    classes: names of the semantic classes.
    """
    columns = [("larmatch", "f4", "", "probability that charge really arrived at its three pixels")]
    if key_points:
        columns += [
            (f"key_{kind}", "f4", "", f"closeness to a {kind}: 1 there, exp(−d²/2σ²)") for kind in KEY_POINT_KINDS
        ]
    columns += [(f"class_{name}", "f4", "", f"probability of {name}, if it is good") for name in classes]
    if affinity:
        columns += [(f"affinity_{axis}", "f4", "", f"{axis} of the unit vector along the particle") for axis in "xyz"]
    if shift:
        columns += [
            (f"shift_{kind}_{axis}", "f4", "cm", f"{axis} of the way to the nearest {kind}")
            for kind in KEY_POINT_KINDS
            for axis in "xyz"
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
