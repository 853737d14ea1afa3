"""Events of MicroBooNE's OpenSamples "WithWire" (HDF5, CC BY 4.0, doi:10.5281/zenodo.7261798 and …7261921).

Simulated neutrino interactions over cosmic rays that are real data. Tables and columns are those that HDF5Maker writes
(github.com/cerati/numl, numl/NeutrinoML/HDF5Maker_module.cc) and filecontent-hdf5.md of github.com/uboone/OpenSamples
describes: ``event_table``, ``wire_table`` (waveforms), ``hit_table``, ``edep_table`` (which simulated particles made a
hit), ``particle_table``.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from weft.errors import WeftError
from weft.io.hit_truth import Hits, pixel_truth
from weft.io.numl import EVENTS, Table, event_numbers
from weft.io.opensamples_particles import CORRECTED_X, particles_of, x_shift
from weft.io.products import PARTICLES, Column, Schema
from weft.io.wire_products import HITS, PIXEL_TRUTH, image_meta

Encode = Callable[[str, str, Sequence[str]], np.ndarray]

#: Wires of the planes; images have as many columns as the largest plane has wires, as LArCV's have.
WIRES = (2400, 2400, 3456)
#: The waveforms begin at this tick of the readout; the images are of the next 1008 × 6 ticks (specs/larmatch.md §1.1).
FIRST_TICK, TICKS_PER_ROW, ROWS = 2400, 6, 1008
_TICKS = ROWS * TICKS_PER_ROW

#: ADC (summed over ticks) of a hit that a MeV makes where least recombines: 42,400 electrons are freed, 0.69 of them
#: stay so along a minimum-ionising track at 274 V/cm (modified box model), 243 of them are an ADC (arXiv:1907.11736).
ADC_PER_MEV = 120.0

IMAGES = "image2d_wire"

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "wire_table": ("local_plane", "local_wire", "adc"),
    "hit_table": ("hit_id", "local_plane", "local_wire", "local_time", "rms", "integral"),
    "edep_table": ("hit_id", "g4_id", "energy"),
    "particle_table": (
        "g4_id", "g4_pdg", "parent_id", "category", "instance", "momentum", "start_position_corr", "end_position_corr",
        "start_wire_time", "end_wire_time", "start_process", "end_process",
    ),
}  # fmt: skip
_NEUTRINO = ("nu_pdg", "is_cc", "nu_energy", "nu_vtx_corr")


class OpenSamplesSource:
    """A source of events, see `weft.io.convert.Source`: images, hits, particles and `pixel_truth`.

    A row of an image is the sum of six ticks of the waveforms. There is no channel status in these files. What made a
    pixel is known of hits: a pixel is of the particles whose hits reach it, and its origin is known if the simulated
    energy explains all hits that reach it (`weft.io.hit_truth`); that of all others, cosmic rays above all, is not.
    """

    kind = "opensamples"

    def __init__(self, path: Path, products: Mapping[str, str | None]) -> None:
        self.path = path
        if products:
            raise WeftError(f"{path}: products of OpenSamples have fixed names, none can be chosen or left out")
        self.file = h5py.File(path, "r", locking=False)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        missing = [name for name in (EVENTS, *_COLUMNS) if name not in self.file]
        if missing:
            why = '; images are in the files "WithWire" only' if "wire_table" in missing else ""
            raise WeftError(f"{self.path}: no {', '.join(missing)} among {', '.join(self.file)}{why}")
        self._ids = event_numbers(self.path, self.file)
        self.entries = len(self._ids)
        self._tables = {name: Table(self.path, self.file[name], self._ids, _COLUMNS[name]) for name in _COLUMNS}
        self._events = self.file[EVENTS]
        self.has_neutrino = "nu_vtx_corr" in self._events
        if self.has_neutrino:
            self._neutrino = Table(self.path, self._events, self._ids, _NEUTRINO)
        ticks = self._tables["wire_table"].width("adc")
        if ticks < _TICKS:
            raise WeftError(f"{self.path}: wire_table: adc has {ticks} ticks, expected at least {_TICKS}")
        self._shift, spread = x_shift(self._tables["particle_table"])
        self._facts = {"ticks": ticks, CORRECTED_X: self._shift, f"{CORRECTED_X}, largest deviation": spread}
        self._notes: Counter[str] = Counter()
        self.skipped = {
            name: "not read: reconstruction or light" for name in self.file if name not in (EVENTS, *_COLUMNS)
        }
        self.schemas = [
            Schema(IMAGES, "dense", np.dtype("f4"), (Column("pixel", "ADC", "sum of six ticks"),),
                   description="plane, row, column"),
            image_meta(f"{IMAGES}_meta"),
            HITS,
            dataclasses.replace(PARTICLES, codes={column: {} for column in PARTICLES.codes}),
            PIXEL_TRUTH,
        ]  # fmt: skip

    @property
    def about(self) -> dict[str, Any]:
        return dict(self._facts)

    @property
    def notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = {"channel status": "not in these files"}
        return notes | dict(self._notes)

    def numbers(self) -> np.ndarray:
        return self._ids

    def events(self, start: int, stop: int, encode: Encode) -> Iterator[dict[str, Any]]:
        for k in range(start, stop):
            yield self._event(k, encode)

    def _event(self, k: int, encode: Encode) -> dict[str, Any]:
        where = f"{self.path}: event {'/'.join(map(str, self._ids[k].tolist()))}"
        for table in self._tables.values():
            table.check(k)
        image = self._image(where, k)
        hits = self._hits(where, k)
        edep = {name: self._tables["edep_table"].column(name, k) for name in _COLUMNS["edep_table"]}
        g4_id = np.abs(edep["g4_id"].astype(np.int64))  # of what a shower made, with a minus sign
        particles, row, unlisted = particles_of(self._particle_columns(k), self._vertex(k), g4_id, encode)
        self._notes["particles with energy that particle_table does not list"] += unlisted
        hit = _row_of(where, hits["id"], edep["hit_id"])
        truth = pixel_truth(
            Hits(hits["plane"], hits["wire"], (hits["tick"] - FIRST_TICK) / TICKS_PER_ROW, hits["rms"] / TICKS_PER_ROW,
                 hits["integral"]),
            hit, row, edep["energy"], ROWS, ADC_PER_MEV,
        )  # fmt: skip
        has = truth["particle"] >= 0
        truth["class"][has] = particles["shape"][truth["particle"][has]]
        particles["energy_deposit"] = _energies(len(particles), hits["plane"][hit], row, edep["energy"])
        return {
            IMAGES: image,
            f"{IMAGES}_meta": _meta(self.schemas[1].dtype),
            "hits": hits,
            "particles": particles,
            "pixel_truth": truth,
        }

    def _image(self, where: str, k: int) -> np.ndarray:
        """float32 (3, rows, columns): sums of six ticks, of as many wires at a time as memory allows."""
        table = self._tables["wire_table"]
        if not table.counts[k]:
            raise WeftError(f"{where}: wire_table has no rows of it")
        plane, wire = _planes_and_wires(
            where, "wire_table", table.column("local_plane", k), table.column("local_wire", k)
        )
        place = plane.astype(np.int64) * max(WIRES) + wire
        if len(np.unique(place)) < len(place):
            twice = place[np.flatnonzero(np.bincount(place)[place] > 1)[0]]
            raise WeftError(f"{where}: wire_table has wire {twice % max(WIRES)} of plane {twice // max(WIRES)} twice")
        image = np.zeros((len(WIRES), ROWS, max(WIRES)), np.float32)
        ticks = table.width("adc")
        for first, last in table.blocks("adc", k):
            start = int(table.starts[k])
            waves = table.slice("adc", start + first, start + last, ticks)[:, :_TICKS]
            waves = np.ascontiguousarray(waves, np.float32).reshape(last - first, ROWS, TICKS_PER_ROW)
            sums = waves[:, :, 0].copy()
            for tick in range(1, TICKS_PER_ROW):
                sums += waves[:, :, tick]
            image[plane[first:last], :, wire[first:last]] = sums
        if not np.isfinite(image).all():
            raise WeftError(f"{where}: wire_table: adc holds values that are not numbers")
        return image

    def _hits(self, where: str, k: int) -> np.ndarray:
        """`HITS`."""
        table = self._tables["hit_table"]
        hits = np.zeros(int(table.counts[k]), HITS.dtype)
        hits["id"] = table.column("hit_id", k)
        hits["plane"], hits["wire"] = _planes_and_wires(
            where, "hit_table", table.column("local_plane", k), table.column("local_wire", k)
        )
        hits["tick"] = table.column("local_time", k) + FIRST_TICK
        hits["rms"], hits["integral"] = table.column("rms", k), table.column("integral", k)
        return hits

    def _particle_columns(self, k: int) -> dict[str, np.ndarray]:
        table = self._tables["particle_table"]
        wide = ("start_position_corr", "end_position_corr")
        return {
            name: table.column(name, k, 3 if name in wide else None).astype(
                np.float64 if name in wide else table.column(name, k).dtype
            )
            for name in _COLUMNS["particle_table"]
        }

    def _vertex(self, k: int) -> dict[str, Any] | None:
        if not self.has_neutrino:
            return None
        position = self._neutrino.slice("nu_vtx_corr", k, k + 1, 3)[0].astype(np.float64)
        return {
            "position": position - [self._shift, 0, 0],
            **{name: self._neutrino.slice(name, k, k + 1)[0] for name in ("nu_pdg", "is_cc", "nu_energy")},
        }

    def close(self) -> None:
        self.file.close()


def _planes_and_wires(where: str, table: str, plane: np.ndarray, wire: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 and int32; wires are stored as real numbers in some tables."""
    if len(plane) and not 0 <= plane.min() <= plane.max() < len(WIRES):
        raise WeftError(f"{where}: {table} has planes {plane.min()} to {plane.max()}, expected 0 to {len(WIRES) - 1}")
    whole = np.rint(wire)
    bad = (whole != wire) | (wire < 0) | (wire >= np.array(WIRES)[plane.astype(np.int64)])
    if bad.any():
        which = int(np.flatnonzero(bad)[0])
        raise WeftError(
            f"{where}: {table} has wire {wire[which]:g} of plane {plane[which]}, expected 0 to "
            f"{WIRES[plane[which]] - 1}"
        )
    return plane.astype(np.int8), whole.astype(np.int32)


def _row_of(where: str, ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64: rows of hits by their numbers."""
    order = np.argsort(ids, kind="stable")
    if len(ids) and (np.diff(ids[order]) == 0).any():
        twice = ids[order][np.flatnonzero(np.diff(ids[order]) == 0)[0]]
        raise WeftError(f"{where}: hit_table has hit_id {twice} twice")
    at = np.searchsorted(ids[order], wanted)
    bad = at >= len(ids)
    bad[~bad] = ids[order][at[~bad]] != wanted[~bad]
    if bad.any():
        raise WeftError(f"{where}: edep_table names hit {wanted[bad][0]}, which hit_table has not")
    return order[at]


def _energies(number: int, plane: np.ndarray, particle: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """float64 (number,): MeV of each particle in the plane that sees most of it; the planes see the same charge."""
    seen = np.stack([np.bincount(particle[plane == p], energy[plane == p], number) for p in range(len(WIRES))])
    return seen.max(axis=0)


def _meta(dtype: np.dtype) -> np.ndarray:
    rows = np.zeros(len(WIRES), dtype)
    rows["plane"], rows["rows"], rows["cols"] = np.arange(len(WIRES)), ROWS, max(WIRES)
    rows["max_x"] = max(WIRES)
    rows["min_y"], rows["max_y"] = FIRST_TICK, FIRST_TICK + _TICKS
    return rows
