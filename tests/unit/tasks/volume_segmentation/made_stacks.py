"""Small stacks with a known truth: shells, tubes and balls with blur and noise."""

import numpy as np
from scipy.ndimage import gaussian_filter

from weft.io.products import EVENT_DTYPE
from weft.io.volume_products import spacing_row

SPACING = (0.3, 0.1, 0.1)
SHAPE = (14, 48, 48)


def truth(kind, seed=0, shape=SHAPE):
    """bool [Z, Y, X] and int32 instances of structures of a kind."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) * np.reshape(SPACING, (3, 1, 1, 1))
    size = np.array(shape) * SPACING
    instances = np.zeros(shape, np.int32)
    for k in range(4):
        centre = size * ((0.5, 0.27, 0.27) + np.array([0, k // 2, k % 2]) * 0.46) + rng.normal(0, 0.05, 3)
        distance = np.sqrt(((places - centre.reshape(3, 1, 1, 1)) ** 2).sum(axis=0))
        radius = rng.uniform(0.75, 0.95)
        if kind == "shell":
            inside = np.abs(distance - radius) < 0.12
        elif kind == "ball":
            inside = distance < radius
        else:
            across = np.sqrt(((places[:2] - centre[:2].reshape(2, 1, 1, 1)) ** 2).sum(axis=0))
            inside = across < 0.16
        instances[inside] = k + 1
    return instances > 0, instances


def event(kind="ball", seed=0, noise=0.05, uneven=0.0, shape=SHAPE):
    """A stack as a stage sees one: products by name."""
    inside, instances = truth(kind, seed, shape)
    rng = np.random.default_rng(seed + 1000)
    clean = gaussian_filter(inside.astype(float), (0.6, 1, 1))
    ramp = uneven * np.linspace(0, 1, shape[2])
    image = 100 + 1000 * (clean + ramp) + 1000 * noise * rng.normal(size=shape)
    labels = inside.astype(np.int16)
    return {
        "image": np.clip(image, 0, 65535).astype(np.uint16)[None],
        "spacing": spacing_row(*SPACING),
        "truth/labels": labels,
        "truth/instances": instances,
    }


class MemoryStore:
    """Stacks and what was predicted of them, as scoring reads a store."""

    def __init__(self, stacks, predictions):
        self._rows = [
            stack | {f"truth/{name}": stack[name] for name in ("image", "spacing")}
            | {f"prediction/{name}": values for name, values in made.items()}
            for stack, made in zip(stacks, predictions, strict=True)
        ]  # fmt: skip
        self.events = np.array([(1, 0, k, 100 + k) for k in range(len(stacks))], EVENT_DTYPE)

    def __len__(self):
        return len(self._rows)

    def __contains__(self, product):
        return product in self._rows[0]

    def __getitem__(self, product):
        return [row[product] for row in self._rows]


def perfect(stack):
    """A prediction that is right everywhere."""
    labels = np.maximum(stack["truth/labels"], 0)
    probabilities = np.stack([labels == c for c in range(2)]).astype(np.float32)
    return {"labels": labels, "probabilities": probabilities, "instances": stack["truth/instances"]}


def worse(stack, seed=0):
    """A prediction that is eroded, misses the first object and invents one."""
    from scipy.ndimage import binary_erosion

    instances = stack["truth/instances"].copy()
    instances[instances == 1] = 0
    instances[~binary_erosion(instances > 0, np.ones((1, 3, 3), bool))] = 0
    instances[:2, :4, 40:44] = 9
    labels = (instances > 0).astype(np.int16)
    sure = np.random.default_rng(seed).uniform(0.7, 0.95, labels.shape)
    one = np.where(labels > 0, sure, 1 - sure).astype(np.float32)
    return {"labels": labels, "probabilities": np.stack([1 - one, one]), "instances": instances}
