"""Products of wire planes: pixels, dead wires, triplets of pixels, and their truth.

A wire is told by its drift volume (`tpc`), plane and number, a time by its row of the image (`weft.detector.wires`).
Charges of pixels are in the units of the images, energies in MeV, positions in cm.
"""

from __future__ import annotations

from weft.io.products import CLASSES, Schema, structured

#: What is known of an image: one row per plane, see :func:`image_meta`.
_META_DTYPE, _META_COLUMNS = structured(
    ("plane", "i4", "", "number of the plane"),
    ("rows", "i4", "", "rows of the image"),
    ("cols", "i4", "", "columns of the image"),
    ("min_x", "f8", "", "lower edge along the columns: wire, or cm"),
    ("max_x", "f8", "", "upper edge along the columns"),
    ("min_y", "f8", "", "lower edge along the rows: tick, or cm"),
    ("max_y", "f8", "", "upper edge along the rows"),
)


def image_meta(name: str) -> Schema:
    """Schema of the sizes and edges of the images of an event."""
    return Schema(name, "table", _META_DTYPE, _META_COLUMNS, description="one row per plane")


_dtype, _columns = structured(
    ("tpc", "i1", "", "drift volume"),
    ("plane", "i1", "", "wire plane"),
    ("row", "i4", "", "row of the image"),
    ("wire", "i4", "", "wire of the plane"),
    ("charge", "f4", "ADC", "sum of the waveform over the ticks of the row; 0 where the wire is dead"),
    ("dead", "i1", "", "1: not measured, the wire is dead and a triplet leads through it"),
)
PIXELS = Schema(
    "pixels", "table", _dtype, _columns,
    description="pixels above threshold, and those of dead wires that triplets need; sorted by tpc, plane, row, wire",
)  # fmt: skip

_dtype, _columns = structured(
    ("tpc", "i1", "", "drift volume"),
    ("plane", "i1", "", "wire plane"),
    ("wire", "i4", "", "wire of the plane"),
)
DEAD_WIRES = Schema(
    "dead_wires", "table", _dtype, _columns, description="wires known to be dead; sorted by tpc, plane, wire"
)

_dtype, _columns = structured(
    *((f"pixel_{plane}", "i4", "", f"row of `pixels` in plane {plane}") for plane in range(3)),
    *((axis, "f4", "cm", f"{axis} of the point nearest to the three wires, time zero") for axis in "xyz"),
)
TRIPLETS = Schema(
    "triplets", "table", _dtype, _columns,
    description="three pixels of one row whose wires meet; unique, sorted by tpc, row, wires of planes 0, 1, 2",
)  # fmt: skip

_dtype, _columns = structured(
    ("tpc", "i1", "", "drift volume"),
    ("row", "i4", "", "row of the image"),
    *((f"live_{plane}", "i4", "", f"pixels above threshold in plane {plane}") for plane in range(3)),
    ("found", "i8", "", "triplets that the search found"),
    ("kept", "i4", "", "triplets that are in `triplets`; fewer where there is a cap per row"),
)
TRIPLET_ROWS = Schema(
    "triplet_rows", "table", _dtype, _columns, description="what the search found in each row that has pixels"
)

#: States of a triplet's truth.
GHOST_TRIPLET, GOOD_TRIPLET, UNKNOWN_TRIPLET = 0, 1, -1
TRUTH_STATES = {GHOST_TRIPLET: "ghost", GOOD_TRIPLET: "good", UNKNOWN_TRIPLET: "unknown"}

_dtype, _columns = structured(
    ("good", "i1", "", "whether electrons arrived where its wires meet"),
    ("electrons", "f4", "", "electrons that arrive there; 0 of none"),
    ("energy", "f4", "MeV", "energy of the deposits that lie there; 0 of none"),
    ("particle", "i4", "", "row of `particles` that most of the electrons come from; −1 none"),
    ("class", "i1", "", "semantic class of that particle; −1 none"),
)
TRIPLET_TRUTH = Schema(
    "triplet_truth", "table", _dtype, _columns, on="triplets", codes={"good": TRUTH_STATES, "class": CLASSES},
    description="truth of each triplet",
)  # fmt: skip

_dtype, _columns = structured(
    ("tpc", "i1", "", "drift volume"),
    ("plane", "i1", "", "wire plane"),
    ("row", "i4", "", "row of the image"),
    ("wire", "i4", "", "wire of the plane"),
    ("particle", "i4", "", "row of `particles`; −1: the pixel is of none"),
    ("class", "i1", "", "semantic class of the particle; −1 not known"),
    ("energy", "f4", "MeV", "energy of the particle that this pixel sees"),
    ("known", "i1", "", "1: nothing else made this pixel; 0: something unknown did too"),
)
PIXEL_TRUTH = Schema(
    "pixel_truth", "table", _dtype, _columns, codes={"class": CLASSES},
    description="what made a pixel, plane by plane, where it is not known where in space; the origin of pixels without "
    "a row is not known; unique and sorted by tpc, plane, row, wire, particle",
)  # fmt: skip

_dtype, _columns = structured(
    ("id", "i4", "", "number of the hit in its event, as in the file"),
    ("tpc", "i1", "", "drift volume"),
    ("plane", "i1", "", "wire plane"),
    ("wire", "i4", "", "wire of the plane"),
    ("tick", "f4", "tick", "centre of the pulse, counted as the rows of the images are"),
    ("rms", "f4", "tick", "width of the pulse"),
    ("integral", "f4", "ADC", "area of the pulse"),
)
HITS = Schema("hits", "table", _dtype, _columns, description="pulses that a reconstruction found on the wires")
