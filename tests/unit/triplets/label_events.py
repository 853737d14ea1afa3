"""Small true events: particles, the deposits they left, and the pixels and triplets of these."""

from pathlib import Path

import numpy as np

from weft.config.detector import load_detector
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.products import PARTICLES
from weft.io.wire_products import PIXELS
from weft.triplets.build import Event, build_triplets
from weft.triplets.options import TripletOptions

ROOT = Path(__file__).parents[3]
TOY = load_detector(ROOT / "config/detectors/toy.yaml")
TPC = TOY.tpcs[0]


def particle(**columns):
    """A row of `particles`: of what is not said nothing is known, points are (x, y, z)."""
    row = np.zeros(1, PARTICLES.dtype)
    for name in PARTICLES.dtype.names:
        row[name] = -1 if PARTICLES.dtype[name].kind == "i" else np.nan
    for name, value in columns.items():
        if name in PARTICLES.dtype.names:
            row[name] = value
        else:
            for axis, number in zip("xyz", value, strict=True):
                row[f"p{axis}" if name == "momentum" else f"{name}_{axis}"] = number
    return row


def table(*rows):
    return np.concatenate(rows) if rows else np.zeros(0, PARTICLES.dtype)


def deposits_at(position, number, energy=0.5, shape=1):
    """`WIRE_DEPOSITS` of particle `number` at positions (n, 3), a row for each."""
    position = np.asarray(position, float).reshape(-1, 3)
    rows = np.zeros(len(position), WIRE_DEPOSITS.dtype)
    rows["row"] = TPC.rows(position[:, 0])
    wires = TPC.wires(position)
    for plane in range(3):
        rows[f"wire_{plane}"] = wires[:, plane]
    rows["particle"], rows["class"], rows["electrons"], rows["energy"] = number, shape, 5000, energy
    for axis, name in enumerate("xyz"):
        rows[name] = position[:, axis]
    return rows


def line(start, end, step=0.1):
    """Points from start to end."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    number = round(np.linalg.norm(end - start) / step) + 1
    return start + np.linspace(0, 1, number)[:, None] * (end - start)


def event_of(deposits) -> Event:
    """Pixels and triplets of an event in which each seen deposit lights its three pixels."""
    lit = []
    for plane in range(3):
        seen = deposits[(deposits["row"] >= 0) & (deposits[f"wire_{plane}"] >= 0)]
        cells = np.unique(np.stack([seen["row"], seen[f"wire_{plane}"]], axis=1), axis=0).reshape(-1, 2)
        pixels = np.zeros(len(cells), PIXELS.dtype)
        pixels["plane"], pixels["row"], pixels["wire"], pixels["charge"] = plane, cells[:, 0], cells[:, 1], 50
        lit.append(pixels)
    alive = tuple(np.zeros(plane.wires, bool) for plane in TPC.planes)
    return build_triplets(TOY, np.concatenate(lit), (alive,), TripletOptions())
