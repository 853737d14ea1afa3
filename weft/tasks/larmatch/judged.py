"""What is judged: the triplets of one event with their truth and what was said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from weft.detector.wires import PLANES
from weft.engine.task import Store
from weft.errors import WeftError
from weft.io.larmatch_products import columns_of
from weft.io.products import Filtered
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET
from weft.reco.feed import processes_in
from weft.tasks.larmatch.options import Options
from weft.triplets.labels import TripletLabels
from weft.triplets.stored_truth import read_truth
from weft.triplets.truth import true_cells

SCORES = "triplet_scores"
PARTICLES = "particles"

#: A triplet is kept from this score on, where one threshold is meant: that of an analysis (spec §6).
CUT = 0.5


@dataclass(frozen=True)
class Judged:
    """One event.

    Attributes:
        pixels, triplets, deposits, particles: `PIXELS`, `TRIPLETS` (n rows), `WIRE_DEPOSITS` and `PARTICLES`.
        truth: `TRIPLET_TRUTH` (n,).
        labels: of the n triplets.
        said: `triplet_scores` of the m triplets that were written.
        row: int64 (m,), increasing: which triplets these are.
        classes: names of the semantic classes; none where nothing is said of them.
        min_electrons: that make a cell a true one.
    """

    pixels: np.ndarray
    triplets: np.ndarray
    deposits: np.ndarray
    particles: np.ndarray
    truth: np.ndarray
    labels: TripletLabels
    said: np.ndarray
    row: np.ndarray
    classes: Sequence[str]
    min_electrons: float

    @cached_property
    def score(self) -> np.ndarray:
        """float32 (n,): 0 of triplets that were not written."""
        score = np.zeros(len(self.triplets), np.float32)
        score[self.row] = self.said["larmatch"]
        return score

    @cached_property
    def good(self) -> np.ndarray:
        """bool (n,)"""
        return self.labels.good == GOOD_TRIPLET

    @cached_property
    def ghost(self) -> np.ndarray:
        """bool (n,); those of unknown truth are neither."""
        return self.labels.good == GHOST_TRIPLET

    @cached_property
    def members(self) -> np.ndarray:
        """int64 (n, 3): rows of `pixels`"""
        return np.stack([self.triplets[f"pixel_{p}"] for p in range(PLANES)], axis=1).astype(np.int64)

    @cached_property
    def position(self) -> np.ndarray:
        """float64 (n, 3), cm"""
        return np.stack([self.triplets[axis] for axis in "xyz"], axis=1).astype(np.float64)

    @cached_property
    def cells(self) -> np.ndarray:
        """Those deposits that lie in true cells."""
        return true_cells(self.deposits, self.min_electrons)

    def answers(self, head: str) -> np.ndarray | None:
        """float64 (m, numbers): what a head said, key points by kind, semantics by class, shift (m, 18) by kind and
        axis; None where it said nothing."""
        names = columns_of(self.said.dtype.names or ()).get(head)
        return np.stack([self.said[name] for name in names], axis=1).astype(np.float64) if names else None


def read_judged(store: Store, i: int, options: Options, shard: str) -> Judged:
    """Event i of a store with `pixels` and `triplets` as the stage was fed them, the truth that `data.labels` names
    and prediction/triplet_scores.

    Raises WeftError naming shard and event where scores are no probabilities or not those of these triplets.
    """
    pixels, triplets = np.asarray(store["pixels"][i]), np.asarray(store["triplets"][i])
    said = _filtered(store, i)
    event = store.events[i]
    where = f"shard {shard}: event {event['run']}/{event['subrun']}/{event['event']}"
    score, row = said.values["larmatch"], said.index.astype(np.int64)
    if len(row) and row[-1] >= len(triplets):
        raise WeftError(f"{where}: {SCORES} of row {row[-1]}, but there are {len(triplets)} triplets")
    bad = ~((score >= 0) & (score <= 1))
    if bad.any():
        raise WeftError(f"{where}: a larmatch score is {score[bad][0]:g}, expected a probability")
    true = read_truth(
        lambda name: np.asarray(store[f"truth/{name}"][i]), pixels, triplets, options.data.labels, processes_in(store)
    )
    classes = options.data.labels.classes.classes if "semantics" in options.model.heads else ()
    return Judged(
        pixels,
        triplets,
        true.deposits,
        true.particles,
        true.triplets,
        true.labels,
        said.values,
        row,
        classes,
        true.min_electrons,
    )


def _filtered(store: Store, i: int) -> Filtered:
    """From a file, or still in memory."""
    product = store[f"prediction/{SCORES}"]
    found = product[i]
    return found if isinstance(found, Filtered) else Filtered(found, product.index(i))
