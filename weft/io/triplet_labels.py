"""Labels of triplets that come with a file instead of being computed from what charge was really there."""

from __future__ import annotations

from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.products import Schema, structured

#: Semantic classes of `triplet_labels`: those of LArMatch's second generation that are of a particle.
LABEL_CLASSES = ("electron", "photon", "muon", "pion", "proton", "other")

_dtype, _columns = structured(
    ("soft", "f4", "", "how near to a true point the file calls it, 0 to 1; NaN: the file does not say"),
    *(
        (f"key_{kind}", "f4", "", f"closeness to a {kind}: 1 there; NaN: the file does not say")
        for kind in KEY_POINT_KINDS
    ),
    ("class", "i1", "", "semantic class; −1: none, or the file does not say"),
    ("weight", "f4", "", "of the semantic label by its place, near a vertex or at a boundary; 1: none or not said"),
)
TRIPLET_LABELS = Schema(
    "triplet_labels", "table", _dtype, _columns, on="triplets", codes={"class": dict(enumerate(LABEL_CLASSES))},
    description="labels of each triplet as a file states them, besides its truth",
)  # fmt: skip
