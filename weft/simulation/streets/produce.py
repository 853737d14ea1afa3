"""Folders of simulated streets: PNG files of pictures and masks with a classes.txt, as a user's own would be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from weft.io.class_files import CLASSES as CLASSES_FILE
from weft.io.class_files import IGNORE
from weft.io.image_files import IMAGES, MASKS
from weft.io.image_reading import RECORD
from weft.simulation.folders import simulate_files
from weft.simulation.streets.settings import CLASSES, IGNORED, StreetSettings
from weft.simulation.streets.street import simulate_street
from weft.simulation.workers import RUN


def simulate_folder(
    settings: StreetSettings,
    seed: int,
    first: int,
    count: int,
    path: str | os.PathLike[str],
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write streets first … first+count−1 of a sample to a folder: see :func:`weft.simulation.folders.simulate_files`.

    Below it are ``images``, ``masks`` and ``classes.txt``. Run is 1, subrun the seed, event the number of the street.
    """
    return simulate_files(_write, settings, seed, first, count, path, processes, progress)


def _write(settings: StreetSettings, seed: int, folder: Path, index: int) -> None:
    street = simulate_street(settings, seed, index)
    name = f"street_{seed:03d}_{index:05d}.png"
    said = PngInfo()
    said.add_text(RECORD, json.dumps({"event": [RUN, seed, index]}))
    for place, array in ((IMAGES, street.picture), (MASKS, street.mask)):
        (folder / place).mkdir(exist_ok=True)
        Image.fromarray(array).save(folder / place / name, pnginfo=said)
    # Each process writes the same.
    lines = [f"{k} {kind}\n" for k, kind in enumerate(CLASSES)] + [f"{IGNORED} {IGNORE}\n"]
    (folder / CLASSES_FILE).write_text("".join(lines), encoding="utf-8")
