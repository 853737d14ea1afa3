"""Small events on wire planes: particles as straight lines of charge, seen by the toy detector, with exact truth."""

from functools import cache
from pathlib import Path

import numpy as np

from weft.config.detector import load_detector
from weft.detector.wires import PLANES
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.products import PARTICLES, SHOWER, TRACK
from weft.io.wire_products import PIXELS
from weft.triplets.build import build_triplets
from weft.triplets.options import TripletOptions

DETECTOR = load_detector(Path(__file__).parents[4] / "config/detectors/toy.yaml")
#: The way that the centre of a step is marked by a mirror, with what it changes: x, or y and z.
NO_MIRROR, MIRROR_TIME, TURN = (1.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, -1.0, -1.0)


@cache
def event(seed, particles=3, dead=0, mirror=NO_MIRROR):
    """Products of an event, `truth/` before the true ones.

    dead: wires of the last plane that are dead. mirror: factors of x, y, z of all charge.
    """
    rng = np.random.default_rng(seed)
    table = np.zeros(particles, PARTICLES.dtype)
    table["group_id"] = table["id"] = np.arange(particles)
    table["ancestor_trackid"] = -1
    deposits = [np.zeros(0, WIRE_DEPOSITS.dtype)]
    for k in range(particles):
        start, way = rng.uniform(-15, 15, 3), rng.normal(size=3)
        length, track = rng.uniform(6, 12), k % 2 == 0
        way *= length / np.linalg.norm(way)
        start, way = start * mirror, way * mirror
        table["shape"][k], table["pdg"][k] = (TRACK, 13) if track else (SHOWER, 11)
        table["dist_travel"][k] = length
        for a, axis in enumerate("xyz"):
            table[f"first_step_{axis}"][k], table[f"last_step_{axis}"][k] = start[a], start[a] + way[a]
            table[f"p{axis}"][k] = way[a]
        points = start + rng.random((int(length / 0.05), 1)) * way
        deposits.append(deposits_of(points, k, int(table["shape"][k])))
    deposits = np.concatenate(deposits)
    masks = [[np.zeros(plane.wires, bool) for plane in tpc.planes] for tpc in DETECTOR.tpcs]
    wires = rng.choice(len(masks[0][2]), dead, replace=False)
    masks[0][2][wires if mirror[2] > 0 else len(masks[0][2]) - 1 - wires] = True
    pixels = pixels_of(deposits)
    pixels = pixels[~((pixels["plane"] == 2) & masks[0][2][pixels["wire"]])]
    found = build_triplets(DETECTOR, pixels, tuple(tuple(m) for m in masks), TripletOptions())
    return {
        "pixels": found.pixels,
        "triplets": found.triplets,
        "truth/wire_deposits": deposits,
        "truth/particles": table,
    }


def deposits_of(points, particle, shape):
    """`WIRE_DEPOSITS` of points (n, 3) of one particle, 5,000 electrons each."""
    tpc = DETECTOR.tpcs[0]
    cells = np.column_stack([tpc.rows(points[:, 0]), tpc.wires(points)])
    cells, which, number = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    made = np.zeros(len(cells), WIRE_DEPOSITS.dtype)
    made["row"], made["particle"], made["class"] = cells[:, 0], particle, shape
    for p in range(PLANES):
        made[f"wire_{p}"] = cells[:, 1 + p]
    made["electrons"], made["energy"] = 5000 * number, 0.1 * number
    for a, axis in enumerate("xyz"):
        made[axis] = np.bincount(which.reshape(-1), points[:, a]) / number
    return made


def pixels_of(deposits):
    """`PIXELS` of deposits, 1 ADC for 200 electrons."""
    parts = [np.zeros(0, PIXELS.dtype)]
    for p in range(PLANES):
        cells = np.column_stack([deposits["row"], deposits[f"wire_{p}"]])
        cells, which = np.unique(cells, axis=0, return_inverse=True)
        plane = np.zeros(len(cells), PIXELS.dtype)
        plane["plane"], plane["row"], plane["wire"] = p, cells[:, 0], cells[:, 1]
        plane["charge"] = np.bincount(which.reshape(-1), deposits["electrons"]) / 200
        parts.append(plane)
    return np.concatenate(parts)


def nothing():
    return event(0, particles=0)


def single_plane():
    """Pixels of one plane alone: no triplets."""
    full = event(1)
    pixels = full["pixels"][full["pixels"]["plane"] == 1]
    return {**full, "pixels": pixels, "triplets": full["triplets"][:0]}
