"""From images of wire planes to pixels above threshold and dead wires."""

from __future__ import annotations

import numpy as np

from weft.detector.dead_wires import GOOD_STATUS, dead_wires
from weft.detector.wires import PLANES, Detector
from weft.errors import WeftError
from weft.io.wire_products import DEAD_WIRES, PIXELS
from weft.triplets.build import DeadWires


def pixels_of(detector: Detector, images: np.ndarray, threshold: float) -> np.ndarray:
    """`PIXELS` of images (planes, rows, columns): those of at least `threshold`, sorted by tpc, plane, row, wire.

    The images of drift volume t are 3·t … 3·t+2, their columns are wires, row 0 is the earliest. Columns beyond the
    last wire of a plane must be empty.
    """
    _check(detector, images)
    found = []
    for number, image in enumerate(images):
        row, wire = np.nonzero(image >= threshold)
        tpc, plane = divmod(number, PLANES)
        known = detector.tpcs[tpc].planes[plane]
        if len(wire) and wire.max() >= known.wires:
            raise WeftError(
                f"image {number} has charge in column {wire.max()}, but plane {known.name} of the detector "
                f"{detector.name} has {known.wires} wires"
            )
        pixels = np.zeros(len(row), PIXELS.dtype)
        pixels["tpc"], pixels["plane"], pixels["row"], pixels["wire"] = tpc, plane, row, wire
        pixels["charge"] = image[row, wire]
        found.append(pixels)
    return np.concatenate(found)


def dead_of(detector: Detector, images: np.ndarray, status: np.ndarray | None) -> DeadWires:
    """Which wires count as dead in an event, for training and deploy alike.

    Args:
        images: (planes, rows, columns) as in :func:`pixels_of`; the detector's rule counts gaps between their charges.
        status: rows of `plane`, `channel`, `status` with LArCV's codes, the planes numbered as the images; wires
            without a row are good, as all are where it is None.
    """
    _check(detector, images)
    found = []
    for tpc_number, tpc in enumerate(detector.tpcs):
        masks = []
        for p, plane in enumerate(tpc.planes):
            number = tpc_number * PLANES + p
            bad = np.zeros(plane.wires, bool)
            if status is not None:
                mine = status[(status["plane"] == number) & (status["status"] < GOOD_STATUS)]
                channel = mine["channel"]
                if len(channel) and (channel.min() < 0 or channel.max() >= plane.wires):
                    raise WeftError(
                        f"status of channel {channel.max()} of plane {number}, but plane {plane.name} of the detector "
                        f"{detector.name} has {plane.wires} wires"
                    )
                bad[channel] = True
            highest = images[number].max(axis=0, initial=-np.inf)[: plane.wires]
            masks.append(dead_wires(bad, highest, detector.gaps))
        found.append((masks[0], masks[1], masks[2]))
    return tuple(found)


def dead_table(dead: DeadWires) -> np.ndarray:
    """`DEAD_WIRES` rows of masks."""
    found = []
    for tpc, planes in enumerate(dead):
        for p, mask in enumerate(planes):
            wire = np.flatnonzero(mask)
            table = np.empty(len(wire), DEAD_WIRES.dtype)
            table["tpc"], table["plane"], table["wire"] = tpc, p, wire
            found.append(table)
    return np.concatenate(found)


def dead_masks(detector: Detector, table: np.ndarray) -> DeadWires:
    """The masks of `DEAD_WIRES` rows, the inverse of :func:`dead_table`."""

    def mask(tpc: int, p: int) -> np.ndarray:
        wire = table["wire"][(table["tpc"] == tpc) & (table["plane"] == p)]
        found = np.zeros(detector.tpcs[tpc].planes[p].wires, bool)
        found[wire] = True
        return found

    return tuple((mask(tpc, 0), mask(tpc, 1), mask(tpc, 2)) for tpc in range(len(detector.tpcs)))


def _check(detector: Detector, images: np.ndarray) -> None:
    planes = [plane for tpc in detector.tpcs for plane in tpc.planes]
    rows, wires = detector.tpcs[0].readout.rows, max(plane.wires for plane in planes)
    if images.ndim != 3 or len(images) != len(planes) or images.shape[1] != rows or images.shape[2] < wires:
        raise WeftError(
            f"images of shape {images.shape}; the detector {detector.name} has {len(planes)} planes of {rows} rows and "
            f"up to {wires} wires"
        )
