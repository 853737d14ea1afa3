"""Batches of triplets with labels, made up or of simulated events."""

import numpy as np
import torch

from weft.tasks.larmatch.batch import LABELS, TripletBatch
from weft.tasks.larmatch.loss_options import TERMS

KINDS = 6


def labels(rng, n, classes=5):
    """Labels of an event with n triplets: all three states of truth, and good ones without some of the labels."""
    good = rng.choice(np.array([-1, 0, 1], np.int8), n, p=[0.1, 0.5, 0.4])
    is_good = good == 1
    key_points = np.where((rng.random((n, KINDS)) < 0.3) & is_good[:, None], rng.random((n, KINDS)), 0)
    shift = np.where(key_points[..., None] > 0, rng.normal(0, 4, (n, KINDS, 3)), np.nan)
    affinity = rng.normal(size=(n, 3))
    affinity /= np.linalg.norm(affinity, axis=1, keepdims=True)
    affinity[~is_good | (rng.random(n) < 0.2)] = np.nan
    semantic = np.where(is_good & (rng.random(n) < 0.9), rng.integers(0, classes, n), -1)
    return {
        "good": good,
        "key_points": key_points.astype(np.float32),
        "shift": shift.astype(np.float32),
        "affinity": affinity.astype(np.float32),
        "semantic": semantic.astype(np.int8),
        "boundary": np.where(semantic >= 0, rng.choice([1, 2, 5], n), 1).astype(np.float32),
    }


def join(events):
    """A batch of events, each a dictionary of labels; its pixels do not matter to a loss and are left out."""
    sizes = [len(event["good"]) for event in events]
    joined = {name: torch.from_numpy(np.concatenate([event[name] for event in events])) for name in LABELS}
    return TripletBatch(
        coords=torch.zeros((0, 3), dtype=torch.int32),
        features=torch.zeros((0, 2)),
        offsets=torch.zeros(len(events) + 1, dtype=torch.int64),
        events=[(0, k) for k in range(len(events))],
        targets=joined,
        plane=torch.zeros(0, dtype=torch.int64),
        triplets=torch.zeros((sum(sizes), 3), dtype=torch.int64),
        triplet_offsets=torch.tensor([0, *np.cumsum(sizes)]),
        row=torch.cat([torch.arange(size) for size in sizes]),
    )


def answers(rng, n, classes=5, dtype=torch.float32):
    """What a network without skill says of n triplets, with gradients."""
    shapes = {
        "larmatch": (n,),
        "key_points": (n, KINDS),
        "semantics": (n, classes),
        "affinity": (n, 3),
        "shift": (n, KINDS, 3),
    }
    assert shapes.keys() == set(TERMS)
    return {name: torch.from_numpy(rng.normal(size=shape)).to(dtype).requires_grad_() for name, shape in shapes.items()}


def part(output, rows):
    return {name: values[rows] for name, values in output.items()}
