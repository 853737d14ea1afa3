"""Folders of simulated tiles, meshes and their textures, as those of a city are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from weft.simulation.folders import simulate_files
from weft.simulation.towns.files import write_town
from weft.simulation.towns.settings import TownSettings
from weft.simulation.towns.town import simulate_town


def simulate_towns(
    settings: TownSettings,
    seed: int,
    first: int,
    count: int,
    path: str | os.PathLike[str],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write tiles first … first+count−1 of a sample to a folder: see :func:`weft.simulation.folders.simulate_files`."""
    return simulate_files(_write, settings, seed, first, count, path, processes, progress)


def tile_name(seed: int, index: int) -> str:
    """``Tile_+1001_+2000``: no two tiles of all samples have the same."""
    return f"Tile_+{1000 + seed}_+{2000 + index}"


def _write(settings: TownSettings, seed: int, folder: Path, index: int) -> None:
    town = simulate_town(settings, seed, index)
    write_town(town, folder, tile_name(seed, index), settings.encoding, settings.textures.quality)
