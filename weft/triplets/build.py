"""The triplets of an event as products: pixels, those of dead wires among them, and rows of three pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weft.compiled import kernel
from weft.detector.wires import PLANES, Detector
from weft.errors import WeftError
from weft.io.wire_products import PIXELS, TRIPLET_ROWS, TRIPLETS
from weft.triplets.options import TripletOptions
from weft.triplets.search import Rows, find_triplets

#: bool (wires,) of each plane of each drift volume: which wires count as dead.
DeadWires = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Event:
    """Candidates of an event, in the form of `weft.io.wire_products`.

    Attributes:
        pixels: `PIXELS`; the given ones, and one for each dead wire and row that a triplet leads through.
        triplets: `TRIPLETS`.
        rows: `TRIPLET_ROWS`: what was found and kept, row by row.
    """

    pixels: np.ndarray
    triplets: np.ndarray
    rows: np.ndarray

    @property
    def dropped(self) -> int:
        """Triplets that were found and are not kept."""
        return int(self.rows["found"].sum()) - len(self.triplets)


def build_triplets(detector: Detector, pixels: np.ndarray, dead: DeadWires, options: TripletOptions) -> Event:
    """All triplets of the pixels of an event.

    Args:
        pixels: `PIXELS` in any order, each once, none of them dead. Those below the threshold of the options are left
            out.
        dead: which wires count as dead, see `weft.triplets.images.dead_of`.

    Raises WeftError where a pixel is not of the detector or given twice.
    """
    pixels = _sorted(detector, pixels[pixels["charge"] >= options.threshold])
    rows = detector.tpcs[0].readout.rows
    bounds = np.searchsorted(_volume(pixels), np.arange(len(detector.tpcs) * PLANES + 1))
    all_pixels: list[np.ndarray] = []
    all_triplets: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    before = 0
    for number, tpc in enumerate(detector.tpcs):
        first = number * PLANES
        mine = [pixels[bounds[first + p] : bounds[first + p + 1]] for p in range(PLANES)]
        live0, live1, live2 = (Rows.of(plane["row"], plane["wire"], rows) for plane in mine)
        found = find_triplets(tpc, (live0, live1, live2), dead[number], options)
        starts = np.searchsorted(found.row, np.arange(rows + 1))
        triplets = np.empty(len(found.row), TRIPLETS.dtype)
        for p, live in enumerate((live0, live1, live2)):
            index, wire, source, offsets = _with_dead(
                np.ascontiguousarray(found.wires[:, p]), starts, live.wires, live.offsets, tpc.planes[p].wires
            )
            plane = np.zeros(len(wire), PIXELS.dtype)
            plane["tpc"], plane["plane"], plane["wire"] = number, p, wire
            plane["row"] = np.repeat(np.arange(rows), np.diff(offsets))
            plane["dead"] = source < 0
            plane["charge"][source >= 0] = mine[p]["charge"]
            triplets[f"pixel_{p}"] = index + before
            all_pixels.append(plane)
            before += len(plane)
        position = tpc.position(found.wires, found.row)
        for axis, name in enumerate("xyz"):
            triplets[name] = position[:, axis]
        all_triplets.append(triplets)
        counts.append(_counts(number, (live0, live1, live2), found.found, np.diff(starts)))
    return Event(np.concatenate(all_pixels), np.concatenate(all_triplets), np.concatenate(counts))


def _counts(number: int, live: tuple[Rows, Rows, Rows], found: np.ndarray, kept: np.ndarray) -> np.ndarray:
    table = np.zeros(len(found), TRIPLET_ROWS.dtype)
    table["tpc"], table["row"] = number, np.arange(len(found))
    for p, plane in enumerate(live):
        table[f"live_{p}"] = np.diff(plane.offsets)
    table["found"], table["kept"] = found, kept
    return table[(table["live_0"] > 0) | (table["live_1"] > 0) | (table["live_2"] > 0)]


def _volume(pixels: np.ndarray) -> np.ndarray:
    """Number of the plane among all planes of all drift volumes."""
    return pixels["tpc"].astype(np.int64) * PLANES + pixels["plane"]


def _sorted(detector: Detector, pixels: np.ndarray) -> np.ndarray:
    """By drift volume, plane, row and wire, after a check that all are there, once."""
    planes = [plane for tpc in detector.tpcs for plane in tpc.planes]
    known = (pixels["tpc"] >= 0) & (pixels["tpc"] < len(detector.tpcs))
    known &= (pixels["plane"] >= 0) & (pixels["plane"] < PLANES)
    if known.all():
        wires = np.array([plane.wires for plane in planes])[_volume(pixels)]
        known &= (pixels["wire"] >= 0) & (pixels["wire"] < wires)
        known &= (pixels["row"] >= 0) & (pixels["row"] < detector.tpcs[0].readout.rows)
    if not known.all():
        which = pixels[np.flatnonzero(~known)[0]]
        raise WeftError(f"{_name(which)} is not one of the detector {detector.name}")
    if pixels["dead"].any():
        raise WeftError(f"{_name(pixels[np.flatnonzero(pixels['dead'])[0]])} is dead; expected pixels with charge")
    order = np.lexsort([pixels["wire"], pixels["row"], _volume(pixels)])
    pixels = pixels[order]
    same = np.ones(max(len(pixels) - 1, 0), bool)
    for name in ("tpc", "plane", "row", "wire"):
        same &= pixels[name][1:] == pixels[name][:-1]
    if same.any():
        raise WeftError(f"{_name(pixels[np.flatnonzero(same)[0]])} is there twice")
    return pixels


def _name(pixel: np.ndarray) -> str:
    return f"the pixel of tpc {pixel['tpc']}, plane {pixel['plane']}, row {pixel['row']}, wire {pixel['wire']}"


@kernel
def _with_dead(triplet_wires, starts, live_wires, live_offsets, wires):
    """Pixels of a plane: the live ones and those that triplets need besides, by row and wire.

    Returns the pixel of each triplet, the wire of each pixel, the live pixel that it is (−1: none) and row offsets.
    """
    n = len(triplet_wires)
    rows = len(starts) - 1
    index = np.empty(n, np.int32)
    wire = np.empty(len(live_wires) + n, np.int32)
    source = np.empty(len(live_wires) + n, np.int64)
    offsets = np.zeros(rows + 1, np.int64)
    slot = np.full(wires, -2, np.int64)  # −2: no pixel, −1: a dead one, else the live one; then the number of the pixel
    m = 0
    for row in range(rows):
        first = m
        for i in range(live_offsets[row], live_offsets[row + 1]):
            slot[live_wires[i]] = i
            wire[m] = live_wires[i]
            m += 1
        for t in range(starts[row], starts[row + 1]):
            w = triplet_wires[t]
            if slot[w] == -2:
                slot[w] = -1
                wire[m] = w
                m += 1
        wire[first:m].sort()
        for k in range(first, m):
            source[k] = slot[wire[k]]
            slot[wire[k]] = k
        for t in range(starts[row], starts[row + 1]):
            index[t] = slot[triplet_wires[t]]
        for k in range(first, m):
            slot[wire[k]] = -2
        offsets[row + 1] = m
    return index, wire[:m].copy(), source[:m].copy(), offsets
