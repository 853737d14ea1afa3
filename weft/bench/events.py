"""Simulated events: as a dataset has them, and of a wanted number of voxels."""

from __future__ import annotations

from pathlib import Path

from weft.io.convert import convert_file
from weft.simulation.event import simulate_event
from weft.simulation.produce import simulate_file
from weft.simulation.settings import SimulationSettings

_TRIED = 8  # small events of a size to choose the nearest from: one vertex may give many voxels or few
_LARGEST_BOX = 2048
#: Voxels of an event with one vertex and two rain particles, on average; less leaves a bigger box.
_PER_VERTEX = 3400
_SEED = 900


def simulate_events(path: Path, count: int) -> Path:
    """An event store at `path` with `count` events of the settings of the dataset lartpc."""
    return _store(path, SimulationSettings(), 0, count)


def _store(path: Path, settings: SimulationSettings, first: int, count: int) -> Path:
    raw = path.with_suffix(".root")
    simulate_file(settings, _SEED, first, count, raw)
    convert_file(raw, path)
    return path


def simulate_size(path: Path, voxels: int) -> int:
    """An event store at `path` with one event of about so many voxels; returns how many.

    As many more vertices as the event is to have more voxels, each with two rain particles, in a box whose volume grows
    likewise: the density of particles stays what it is in the dataset lartpc, of which one vertex in a cube of 256
    voxels is the smallest event.
    """
    vertices = max(1, round(voxels / _PER_VERTEX))
    sizes: dict[tuple[int, int], int] = {}
    for index in range(_TRIED if vertices < 5 else 2):
        sizes[vertices, index] = len(simulate_event(of_vertices(vertices), _SEED, index).voxel_id)
        if vertices >= 5:
            vertices = max(1, round(vertices * voxels / sizes[vertices, index]))
    best = min(sizes, key=lambda tried: abs(sizes[tried] - voxels))
    _store(path, of_vertices(best[0]), best[1], 1)
    return sizes[best]


def of_vertices(vertices: int) -> SimulationSettings:
    """Settings of events with so many vertices in a box of proportional volume."""
    usual = SimulationSettings()
    edge = min(_LARGEST_BOX, round(usual.box.voxels * vertices ** (1 / 3)))
    return usual.model_copy(
        update={
            "box": usual.box.model_copy(update={"voxels": edge}),
            "neutrino_like": usual.neutrino_like.model_copy(update={"vertices": (vertices, vertices)}),
            "rain": usual.rain.model_copy(update={"vertices": (2 * vertices, 2 * vertices)}),
        }
    )
