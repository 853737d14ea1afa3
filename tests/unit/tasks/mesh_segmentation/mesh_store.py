"""Meshes and what was predicted of them, in memory, as scoring reads a store."""

import numpy as np

from weft.io.products import EVENT_DTYPE


class MemoryStore:
    def __init__(self, meshes, predictions):
        self._rows = [
            mesh
            | {f"truth/{name}": values for name, values in mesh.items() if "/" not in name}
            | {f"prediction/{name}": values for name, values in made.items()}
            for mesh, made in zip(meshes, predictions, strict=True)
        ]
        self.events = np.array([(1, 0, k, 100 + k) for k in range(len(meshes))], EVENT_DTYPE)

    def __len__(self):
        return len(self._rows)

    def __contains__(self, product):
        return product in self._rows[0]

    def __getitem__(self, product):
        return [row[product] for row in self._rows]


def guess(mesh, classes, wrong, seed=0, probabilities=True):
    """Classes of which a share is wrong, with probabilities that are too sure."""
    rng = np.random.default_rng(seed)
    truth = np.maximum(mesh["truth/face_labels"][:, 0].astype(int), 0)
    false = rng.uniform(size=len(truth)) < wrong
    labels = np.where(false, rng.integers(0, classes, len(truth)), truth)
    made = {"face_labels": labels.astype(np.int16)[:, None]}
    if probabilities:
        sure = rng.uniform(0.75, 0.99, len(labels)).astype(np.float32)
        scores = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, 1)
        scores[np.arange(len(labels)), labels] = sure
        made["face_probabilities"] = scores
    return made
