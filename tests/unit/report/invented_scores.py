"""Invented score tables of a segmentation."""

import numpy as np
import pandas as pd

from weft.metrics.scores import Scores
from weft.tasks.segmentation.score import CHARGE_EDGES, CONFIDENCE_BINS, CURVE_COLUMNS, OBJECT_COLUMNS, count_columns

N_EVENTS = 40


def made_up(right, splits=("test",), seed=0, scored=True, uids=None, empty_class=None):
    """Scores of a model that is right with probability `right`, on events whose sizes depend on the uid alone."""
    rng = np.random.default_rng(seed)
    events, objects, curves = [], [], []
    for split in splits:
        for uid in np.arange(N_EVENTS) if uids is None else uids:
            sizes = np.random.default_rng(uid).integers(5, 80, 5)
            if empty_class is not None:
                sizes[empty_class] = 0
            wrong = np.full((5, 5), (1 - right) / 4)
            np.fill_diagonal(wrong, right)
            counts = np.stack([rng.multinomial(n, p) for n, p in zip(sizes, wrong, strict=True)])
            events.append([0, 0, uid, uid, split, "a", sizes.sum(), sizes.sum() * 0.5, 1.0, *counts.ravel()])
            for k, n in enumerate(sizes):
                correct = counts[k, k]
                energy = 10.0 ** rng.uniform(-1, 3)
                objects.append([uid, split, k, 13, k, energy, energy, 1.0, 0.0, True, n, n, correct, k])
                number = int(rng.integers(len(CHARGE_EDGES) - 1))
                curves.append([uid, split, "charge", k, number, *CHARGE_EDGES[number : number + 2], n, correct, 0.0])
            if scored:
                total, correct = sizes.sum(), np.trace(counts)
                curves.append(
                    [uid, split, "reliability", -1, CONFIDENCE_BINS - 2, 0.9, 0.95, total, correct, 0.9 * total]
                )
    event_names = ["run", "subrun", "event", "uid", "split", "shard", "n_voxels", "visible_energy", "sum_nll"]
    return Scores(
        pd.DataFrame(events, columns=event_names + count_columns(5)),
        pd.DataFrame(objects, columns=list(OBJECT_COLUMNS)),
        pd.DataFrame(curves, columns=list(CURVE_COLUMNS)),
    )
