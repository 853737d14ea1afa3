"""Small pictures with discs and bars, as events in memory, and stores of what was predicted of them."""

from typing import Any

import numpy as np

from weft.io.products import EVENT_DTYPE

CLASSES = ("ground", "disc", "bar")


def image(seed: int = 0, size: tuple[int, int] = (32, 48), channels: int = 3) -> dict[str, Any]:
    """An event: bright discs and striped bars in noise; the first two rows have no label."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    mask = np.zeros(size, np.int16)
    picture = np.full((channels, *size), 80.0)
    for _ in range(3):
        place = rng.uniform((6, 6), np.array(size) - 6)
        inside = (y - place[0]) ** 2 + (x - place[1]) ** 2 < rng.uniform(3, 6) ** 2
        mask[inside], picture[0, inside] = 1, 200
    left = int(rng.integers(4, size[1] - 8))
    mask[:, left : left + 4] = 2
    picture[-1, :, left : left + 4] = 160 + 60 * (y[:, :4] % 2)
    picture += rng.normal(0, 12, picture.shape)
    mask[:2] = -1
    return {"picture": np.clip(picture, 0, 255).astype(np.uint8), "truth/mask": mask}


class MemoryStore:
    """Images and what was predicted of them, as scoring reads a store."""

    def __init__(self, images, predictions):
        self._rows = [
            {"truth/picture": event["picture"], "truth/mask": event["truth/mask"]}
            | {f"prediction/{name}": values for name, values in made.items()}
            for event, made in zip(images, predictions, strict=True)
        ]
        self.events = np.array([(1, 0, k, 100 + k) for k in range(len(images))], EVENT_DTYPE)

    def __len__(self):
        return len(self._rows)

    def __contains__(self, product):
        return product in self._rows[0]

    def __getitem__(self, product):
        return [row[product] for row in self._rows]


def guess(event: dict[str, Any], wrong: float, seed: int = 0) -> dict[str, np.ndarray]:
    """A prediction that is wrong in so many of the pixels, and says so."""
    rng = np.random.default_rng(seed)
    truth = np.maximum(event["truth/mask"], 0)
    mask = np.where(rng.random(truth.shape) < wrong, rng.integers(0, 3, truth.shape), truth).astype(np.int16)
    probabilities = np.full((3, *truth.shape), 0.04, np.float32)
    np.put_along_axis(probabilities, mask[None].astype(int), 0.92, 0)
    return {"mask": mask, "mask_probabilities": probabilities}
