"""Particles of OpenSamples as rows of `particles`, in the coordinates in which the images are read.

The files give positions twice: as simulated, and corrected (``_corr``) as a reconstruction would see them: displaced by
space charge, by the time of the interaction and by an offset in x. Besides, they give the tick at which plane 0 sees
each corrected x. We take y and z of the corrected positions, and the x that the detector `microboone` gives to that
tick: so a point lies where the pixels of its charge do, whatever the offset was. It is the difference of both x, the
same for all points, and is recorded with the conversion. A neutrino has no tick: its x is shifted by the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.io.lartpc import particle_rows
from weft.io.numl import Table
from weft.io.products import DELTA, LOW_ENERGY, MICHEL, SHOWER, TRACK

Encode = Callable[[str, str, Sequence[str]], np.ndarray]

#: Ticks from the start of the waveforms to the trigger, and cm of drift per tick (microboone_utils.py of OpenSamples).
TRIGGER_TICK, CM_PER_TICK = 800, 0.0548965

#: What is recorded of x.
CORRECTED_X = "x of corrected positions beyond that of their ticks, cm"

#: Rows of the particle table from which the difference of the two x is taken.
_SAMPLE = 4096
#: cm: particles that far away tell nothing of the detector.
_FAR = 1000.0

#: Shape of each ``category`` of HDF5Maker and the PDG codes of the particles that it is named after.
_CATEGORIES: Mapping[int, tuple[int, tuple[int, ...]]] = {
    0: (TRACK, (211,)),
    1: (TRACK, (13,)),
    2: (TRACK, (321,)),
    3: (TRACK, (2212,)),
    4: (SHOWER, ()),
    5: (MICHEL, ()),
    6: (DELTA, ()),
    8: (SHOWER, ()),
}
#: "other": particles that made less than six hits, and neutral or heavy ones.
_OTHER = 7
_ELECTROMAGNETIC, _TRACKS = (11, 22), (13, 211, 321, 2212)


def x_of_tick(tick: np.ndarray) -> np.ndarray:
    """float64: cm, of ticks from the start of the waveforms."""
    return (np.asarray(tick, np.float64) - TRIGGER_TICK) * CM_PER_TICK


def x_shift(table: Table) -> tuple[float, float]:
    """cm by which corrected x lie beyond those of their ticks, and how far off that is at most; 0 without particles."""
    stop = min(table.rows, _SAMPLE)
    corrected = table.slice("start_position_corr", 0, stop, 3)[:, 0].astype(np.float64)
    near = np.isfinite(corrected) & (np.abs(corrected) < _FAR)
    if not near.any():
        return 0.0, 0.0
    difference = corrected[near] - x_of_tick(table.slice("start_wire_time", 0, stop))[near]
    shift = float(np.median(difference))
    return shift, float(np.abs(difference - shift).max())


def particles_of(
    columns: Mapping[str, np.ndarray],
    vertex: Mapping[str, Any] | None,
    deposited: np.ndarray,
    encode: Encode,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of `particles`, the row of each particle that left energy, and how many of these were not listed.

    What the files do not say is −1 or NaN: momenta have a size but no direction, energies and lengths are missing. All
    particles are of one neutrino, which is their ancestor. Those that left energy but are not in the table have a row
    with their number alone.

    Args:
        columns: of ``particle_table`` for one event.
        vertex: `position` float64 (3,), cm, `nu_pdg`, `is_cc` of the neutrino; None where the file has none.
        deposited: int64 (d,), Geant4's numbers.
        encode: gives codes of strings.
    """
    listed = columns["g4_id"].astype(np.int64)
    extra = np.setdiff1d(deposited, listed)
    g4_id = np.concatenate([listed, extra])
    row_of = {int(number): row for row, number in enumerate(g4_id.tolist())}
    rows = particle_rows(len(g4_id), _known(columns, len(extra), row_of, encode))
    rows["id"], rows["trackid"] = np.arange(len(rows)), g4_id
    rows["group_id"][len(listed) :] = rows["id"][len(listed) :]
    rows["interaction_id"] = rows["mct_index"] = 0
    if vertex is not None:
        rows["ancestor_trackid"], rows["ancestor_pdg"] = 0, vertex["nu_pdg"]
        rows["current_type"] = 1 - int(vertex["is_cc"])
        for axis, value in zip("xyz", vertex["position"], strict=True):
            rows[f"ancestor_vtx_{axis}"] = value
    whose = np.array([row_of[number] for number in deposited.tolist()], np.int64)
    return rows, whose, len(extra)


def _known(
    columns: Mapping[str, np.ndarray], extra: int, row_of: Mapping[int, int], encode: Encode
) -> dict[str, np.ndarray]:
    """Columns of `particles` for the listed ones and `extra` more, of which nothing is known."""
    count = len(columns["g4_id"])
    pdg, parent = columns["g4_pdg"].astype(np.int64), columns["parent_id"].astype(np.int64)
    start = _positions(columns["start_position_corr"], columns["start_wire_time"])
    end = _positions(columns["end_position_corr"], columns["end_wire_time"])
    # A photon is seen from where it makes a pair.
    converts = (pdg == 22) & (columns["end_process"] == "conv")
    first = np.where(converts[:, None], end, start)
    process = encode("particles", "process", columns["start_process"].tolist())
    mother = np.array([row_of.get(int(number), -1) for number in parent], np.int64)
    mother[mother >= count] = -1
    has = mother >= 0
    known: dict[str, np.ndarray] = {
        "pdg": pdg,
        "p": 1000.0 * columns["momentum"].astype(np.float64),
        "process": process,
        "shape": _shapes(columns["category"].astype(np.int64), pdg),
        "parent_trackid": parent,
        "parent_id": mother,
        "parent_pdg": np.where(has, pdg[mother], -1) if count else pdg,
        "parent_process": np.where(
            has, encode("particles", "parent_process", columns["start_process"][mother].tolist()), -1
        ) if count else process,
        "group_id": _groups(columns["instance"].astype(np.int64), columns["g4_id"].astype(np.int64)),
    }  # fmt: skip
    for name, place in (("vtx", start), ("end_pt", end), ("first_step", first), ("last_step", end)):
        known |= {f"{name}_{axis}": place[:, a] for a, axis in enumerate("xyz")}
    known |= {f"parent_vtx_{axis}": np.where(has, start[mother, a], np.nan) for a, axis in enumerate("xyz")}
    fill = {"i": -1, "f": np.nan}
    return {name: np.r_[value, np.full(extra, fill[value.dtype.kind], value.dtype)] for name, value in known.items()}


def _positions(corrected: np.ndarray, tick: np.ndarray) -> np.ndarray:
    """float64 (n, 3): y and z as they are, x by the tick."""
    return np.column_stack([x_of_tick(tick), corrected[:, 1:].astype(np.float64)])


def _shapes(category: np.ndarray, pdg: np.ndarray) -> np.ndarray:
    """int64 (n,): shapes of charge; −1 of neutral and heavy particles.

    HDF5Maker gives slow electrons along a track the track's category, and those of a few hits none: both are
    low-energy charge.
    """
    shapes = np.full(len(category), -1, np.int64)
    shapes[(category == _OTHER) & np.isin(np.abs(pdg), _ELECTROMAGNETIC)] = LOW_ENERGY
    shapes[(category == _OTHER) & np.isin(np.abs(pdg), _TRACKS)] = TRACK
    for code, (shape, of) in _CATEGORIES.items():
        mine = category == code
        shapes[mine] = shape
        if of:
            shapes[mine & ~np.isin(np.abs(pdg), of)] = LOW_ENERGY
    return shapes


def _groups(instance: np.ndarray, g4_id: np.ndarray) -> np.ndarray:
    """int64 (n,): row of the first particle, by Geant4's number, of each instance; those of none lead themselves."""
    groups = np.arange(len(instance))
    order = np.lexsort([g4_id, instance])
    own, first = np.unique(instance[order], return_index=True)
    some = instance >= 0
    groups[some] = order[first[np.searchsorted(own, instance[some])]]
    return groups
