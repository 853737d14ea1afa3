"""Small files in the layout of MicroBooNE's OpenSamples, of point charges."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from weft.config.detector import load_detector

#: Ticks of a waveform in these files.
TICKS = 6400
#: cm by which corrected x lie beyond those of the ticks, as an electronics delay of 18 ticks makes them.
SHIFT = 18 * 0.0548965
RMS = 3.0

MICROBOONE = load_detector(Path(__file__).parents[3] / "config/detectors/microboone.yaml")
TPC = MICROBOONE.tpcs[0]


@dataclass
class Charge:
    """Charge at a point; `particles` are (g4_id, MeV): none of cosmic rays."""

    position: tuple[float, float, float]
    particles: tuple[tuple[int, float], ...] = ()
    integral: float = 300.0


@dataclass
class Particle:
    """A row of particle_table; positions in the coordinates of the images."""

    g4_id: int
    pdg: int
    category: int = 7
    parent: int = 0
    instance: int = -1
    momentum: float = 0.5
    start: tuple[float, float, float] = (100.0, 0.0, 500.0)
    end: tuple[float, float, float] = (100.0, 0.0, 510.0)
    processes: tuple[str, str] = ("primary", "Decay")


@dataclass
class Neutrino:
    vertex: tuple[float, float, float] = (100.0, 0.0, 500.0)
    pdg: int = 14
    is_cc: int = 1
    energy: float = 1.5


@dataclass
class Event:
    charges: list[Charge] = field(default_factory=list)
    particles: list[Particle] = field(default_factory=list)
    neutrino: Neutrino = field(default_factory=Neutrino)
    waves: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    ids: tuple[int, int, int] = (7000, 1, 1)

    def hits(self) -> list[tuple[int, int, float, Charge]]:
        """Plane, wire, tick from the start of the waveform, and the charge, of each charge in each plane."""
        found = []
        for charge in self.charges:
            position = np.array([charge.position])
            wires, tick = TPC.wires(position)[0], float(TPC.tick(position[:, 0])[0]) - 2400
            found += [(plane, int(wires[plane]), tick, charge) for plane in range(3) if wires[plane] >= 0]
        return found

    def waveforms(self) -> dict[tuple[int, int], np.ndarray]:
        waves = {place: np.array(wave, np.float32) for place, wave in self.waves.items()}
        edges = np.arange(TICKS + 1)
        for plane, wire, tick, charge in self.hits():
            wave = waves.setdefault((plane, wire), np.zeros(TICKS, np.float32))
            upto = np.array([0.5 * math.erfc((tick - edge) / (RMS * math.sqrt(2))) for edge in edges])
            wave += charge.integral * np.diff(upto).astype(np.float32)
        return waves


def tables(events: list[Event]) -> dict[str, dict[str, np.ndarray]]:
    """All tables as HDF5Maker fills them: one number per row is a column of width 1."""
    rows: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("event_table", "wire_table", "hit_table", "edep_table", "particle_table")
    }
    for event in events:
        identity = {"event_id": event.ids}
        shifted = [p + s for p, s in zip(event.neutrino.vertex, (SHIFT, 0, 0), strict=True)]
        rows["event_table"].append(
            identity
            | {"is_cc": event.neutrino.is_cc, "nu_pdg": event.neutrino.pdg, "nu_energy": event.neutrino.energy,
               "nu_vtx": event.neutrino.vertex, "nu_vtx_corr": shifted, "nu_vtx_wire_time": 3500.0}
        )  # fmt: skip
        for (plane, wire), wave in sorted(event.waveforms().items()):
            rows["wire_table"].append(
                identity | {"tpc": 0, "local_plane": plane, "local_wire": float(wire), "adc": wave}
            )
        for number, (plane, wire, tick, charge) in enumerate(event.hits()):
            rows["hit_table"].append(
                identity
                | {"hit_id": number, "integral": charge.integral, "rms": RMS, "tpc": 0, "local_plane": plane,
                   "local_wire": wire, "local_time": tick}
            )  # fmt: skip
            for g4_id, energy in charge.particles:
                rows["edep_table"].append(
                    identity | {"hit_id": number, "g4_id": g4_id, "energy": energy, "energy_fraction": 1.0}
                )
        for particle in event.particles:
            (x0, y0, z0), (x1, y1, z1) = particle.start, particle.end
            ticks = TPC.tick(np.array([x0, x1])) - 2400
            rows["particle_table"].append(
                identity
                | {"g4_id": particle.g4_id, "g4_pdg": particle.pdg, "parent_id": particle.parent,
                   "category": particle.category, "instance": particle.instance, "momentum": particle.momentum,
                   "start_position": particle.start, "end_position": particle.end,
                   "start_position_corr": (x0 + SHIFT, y0, z0), "end_position_corr": (x1 + SHIFT, y1, z1),
                   "start_wire_time": ticks[0], "end_wire_time": ticks[1],
                   "start_process": particle.processes[0], "end_process": particle.processes[1]}
            )  # fmt: skip
    blank = tables([Event([Charge((100, 0, 500), ((1, 1.0),))], [Particle(1, 13)])]) if not all(rows.values()) else {}
    return {
        name: {column: _column([row[column] for row in of]) for column in of[0]}
        if of
        else {column: values[:0] for column, values in blank[name].items()}
        for name, of in rows.items()
    }


def _column(values: list) -> np.ndarray:
    if isinstance(values[0], str):
        return np.array(values, object)
    array = np.array(values)
    array = array.astype(np.int32 if array.dtype.kind in "iu" else np.float32)
    return array[:, None] if array.ndim == 1 else array


def write_opensamples(path: Path, events: list[Event], counts: bool = True) -> Path:
    """`counts`: whether ``event_id.seq_cnt`` is there."""
    numbers = {event.ids: k for k, event in enumerate(events)}
    with h5py.File(path, "w") as file:
        for name, columns in tables(events).items():
            for column, values in columns.items():
                if values.dtype == object:
                    data = file.create_dataset(
                        f"{name}/{column}", (len(values), 1), h5py.string_dtype(), maxshape=(None, 1), chunks=True
                    )
                    data[:, 0] = values
                    continue
                file.create_dataset(
                    f"{name}/{column}", data=values, maxshape=(None, *values.shape[1:]),
                    chunks=(min(1 + len(values), 5), *values.shape[1:]), compression="gzip",
                )  # fmt: skip
            if counts:
                ids = [tuple(row) for row in columns["event_id"].tolist()]
                found = [(numbers[i], ids.count(i)) for i in dict.fromkeys(ids)]
                file[f"{name}/event_id.seq_cnt"] = np.array(found, np.int64).reshape(-1, 2)
    return path
