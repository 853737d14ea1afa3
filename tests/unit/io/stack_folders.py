"""Folders of small stacks."""

from pathlib import Path

import numpy as np

from weft.io.tiff_write import write_ome_tiff

SPACING = (0.3, 0.1, 0.1)


def volumes(seed: int = 0, shape: tuple[int, int, int] = (3, 6, 7)) -> dict[str, np.ndarray]:
    """An image in uint16, labels 0 and 1, cost, instances 0 to 2."""
    rng = np.random.default_rng(seed)
    instances = rng.integers(0, 3, shape, np.int32)
    return {
        "image": rng.integers(100, 60000, shape, np.uint16),
        "labels": (instances > 0).astype(np.uint8),
        "cost": rng.random(shape, np.float32),
        "instances": instances,
    }


ENDINGS = {"image": "", "labels": "_GT", "cost": "_CM", "instances": "_instances"}


def write_stack(folder: Path, name: str, spacing=SPACING, record=None, **arrays: np.ndarray) -> Path:
    """The files of one stack; 3-D arrays are Z, Y, X, 4-D ones C, Z, Y, X, 5-D ones T, C, Z, Y, X."""
    for product, array in arrays.items():
        path = folder / f"{name}{ENDINGS[product]}.ome.tif"
        write_ome_tiff(path, array, "TCZYX"[-array.ndim :], spacing=spacing, record=record)
    return folder / f"{name}.ome.tif"
