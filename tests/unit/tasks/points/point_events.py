"""Events for the tests of the points task: straight particles whose ends are known."""

from collections.abc import Mapping

import numpy as np

from weft.io.products import CLUSTERS, META, PARTICLES, Ragged

SIZE, LOW, CELLS = 0.5, -8.0, 64  # cm a voxel, lower edge of the box, voxels along an axis


def meta() -> np.ndarray:
    return np.array([(LOW,) * 3 + (SIZE,) * 3 + (CELLS,) * 3], META.dtype)


def particle(shape, first, last, **values) -> np.ndarray:
    """first, last: in voxel units."""
    row = np.zeros(1, PARTICLES.dtype)
    row["shape"], row["num_voxels"], row["pdg"] = shape, 10, 13 if shape == 1 else 11
    for k, axis in enumerate("xyz"):
        row[f"first_step_{axis}"], row[f"last_step_{axis}"] = LOW + SIZE * first[k], LOW + SIZE * last[k]
    for name, value in values.items():
        row[name] = value
    return row


def event(lines) -> dict[str, np.ndarray | Ragged]:
    """lines: (class, first voxel, step, length) of each particle, which must not cross; charge rises to the end."""
    voxels, charge, semantics, rows, clusters = [], [], [], [], []
    for shape, start, step, length in lines:
        cells = np.array(start) + np.arange(length)[:, None] * np.array(step)
        clusters.append(np.arange(length) + sum(map(len, voxels)))
        voxels.append(cells)
        charge.append(np.linspace(0.5, 2.0, length) if shape == 1 else np.full(length, 0.4))
        semantics.append(np.full(length, shape))
        rows.append(particle(shape, cells[0] + 0.5, cells[-1] + 0.5, num_voxels=length, energy_deposit=length))
    coords = np.concatenate([*voxels, np.zeros((0, 3), int)])
    order = np.lexsort(coords.T)
    place = np.argsort(order)
    values = [np.array([(place[v], 1.0) for v in members], CLUSTERS.dtype) for members in clusters]
    return {
        "voxels": coords[order].astype(np.int32),
        "charge": np.concatenate([*charge, []])[order].astype(np.float32)[:, None],
        "semantics": np.concatenate([*semantics, np.zeros(0, int)])[order].astype(np.int8)[:, None],
        "particles": np.concatenate([*rows, np.zeros(0, PARTICLES.dtype)]),
        "clusters": Ragged.of(values, np.empty(0, CLUSTERS.dtype)),
        "meta": meta(),
    }


class Fed(Mapping):
    """An event as a stage sees it: bare names are those of the truth, unless others are given."""

    def __init__(self, products, **fed):
        self._products = {f"truth/{name}": value for name, value in products.items()} | dict(products) | fed

    def __getitem__(self, name):
        return self._products[name]

    def __iter__(self):
        return iter(self._products)

    def __len__(self):
        return len(self._products)


LINES = [
    (1, (5, 5, 5), (1, 1, 0), 24),
    (1, (40, 8, 30), (0, 1, 1), 20),
    (0, (30, 50, 10), (1, 0, 1), 15),
    (3, (12, 15, 6), (0, 1, 0), 5),
]


def random_event(seed, particles=6):
    """Particles along axes in rows of their own, so that none cross."""
    rng = np.random.default_rng(seed)
    lines = []
    for k in range(particles):
        step = np.eye(3, dtype=int)[0] * rng.choice([-1, 1])
        start = (int(rng.integers(20, 40)), 6 + 8 * (k % 7), int(rng.integers(5, 55)))
        lines.append((int(rng.choice([0, 1, 1, 2, 3])), start, step, int(rng.integers(3, 19))))
    return event(lines)


class Store:
    """Events in memory as scoring reads them."""

    def __init__(self, events, predictions):
        self._products = {f"truth/{n}": [e[n] for e in events] for n in (events[0] if events else event([]))}
        names = predictions[0] if predictions else ("points",)
        self._products |= {f"prediction/{n}": [p[n] for p in predictions] for n in names}
        self.events = np.array(
            [(1, 0, k, 100 + k) for k in range(len(events))],
            np.dtype([("run", "i8"), ("subrun", "i8"), ("event", "i8"), ("uid", "u8")]),
        )

    def __len__(self):
        return len(self.events)

    def __contains__(self, name):
        return name in self._products

    def __getitem__(self, name):
        return self._products[name]
