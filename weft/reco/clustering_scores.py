"""Scores of any answer to "which voxels belong together": fragments, showers, particles, interactions.

A task says, event by event, the true and the predicted cluster of every voxel (:class:`Answer`); the tables that come
of it hold sums with their numbers, so pooled metrics, curves and bootstraps over events need nothing else.

For every class, and for all together, an event has counts with the suffix ``_all``, ``_shower``, ``_track``, ...
(:data:`EVENT_COLUMNS`). A class is that of the voxels as the answer gives it: the true one, where the metrics of a
class are meant as in SPINE ("restricted to the voxels of a class").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.io.products import Ragged
from weft.metrics.scores import Scores

#: The mark of SPICE's paper: the share of the events whose ARI lies above it (arXiv:2007.03083).
GOOD_ARI = 0.92


class Answer(NamedTuple):
    """One event, voxel by voxel. What a label below zero means is said in :mod:`weft.metrics.clustering`."""

    truth: np.ndarray
    """integer [N], true cluster; −1: this voxel is not judged"""
    prediction: np.ndarray
    """integer [N], predicted cluster; −1: in none"""
    classes: np.ndarray
    """integer [N], semantic class by which the voxels are told apart; −1: of none, counted in "all" alone"""
    energy: np.ndarray
    """float [N], visible energy, MeV"""


def voxel_labels(items: Ragged, n_voxels: int, groups: np.ndarray | None = None) -> np.ndarray:
    """int64 [n_voxels]: the item that each voxel is in, or the group of that item; −1 where it is in none.

    items: rows of voxels of clusters that do not overlap, such as `fragment_voxels`.
    groups: integer [items] or [items, 1], such as `shower_groups`; −1: in none.
    """
    raise NotImplementedError


def score_answers(
    answers: Iterable[Answer], events: np.ndarray, split: str, shard: str, classes: tuple[int, ...] = (0, 1, 2, 3)
) -> Scores:
    """Score tables of one shard.

    answers: one for each event, in order; taken one by one, so a generator keeps memory small.
    events: structured [E], the store's `events`.
    classes: those that get counts of their own.
    Raises WeftError naming shard and event where an answer's arrays have different lengths.
    """
    raise NotImplementedError


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; NaN where undefined.

    For all voxels `ari, ami, sbd, ari_above_092, purity, efficiency, voxel_purity, voxel_efficiency, event_purity,
    event_efficiency`; for each class that has counts the same with its name behind, such as `ari_shower`. Other
    columns of the table, a task's own counts, are left alone: a task puts its own metrics beside.
    """
    raise NotImplementedError
