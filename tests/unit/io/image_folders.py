"""Small folders of images with masks."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = "0 road\n10 building\n30 car\n255 ignore\n"


def picture(seed: int = 0, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    """uint8 [Y, X, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def ids(seed: int = 0, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    """uint8 [Y, X] of the ids of CLASSES."""
    return np.random.default_rng(seed).choice(np.array([0, 10, 30, 255], np.uint8), size)


def save(path: Path, array: np.ndarray, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **more)
    return path


def dataset(root: Path, classes: str | None = CLASSES, count: int = 2) -> Path:
    """``images/{train,test}`` and ``masks/…`` as the seed has them."""
    for s, split in enumerate(("train", "test")):
        for k in range(count):
            save(root / "images" / split / f"street_{k}.png", picture(10 * s + k))
            save(root / "masks" / split / f"street_{k}.png", ids(10 * s + k))
    if classes is not None:
        (root / "classes.txt").write_text(classes)
    return root
