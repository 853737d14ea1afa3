"""From balanced scores to probabilities: how many triplets are good before anything is known of one.

The network learns from as many good triplets as ghosts, so its logit is the logarithm of the ratio of likelihoods. In
events ghosts are more; by Bayes' rule the logit of the probability is that and the logit of the share of good triplets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from weft.engine.task import Event
from weft.errors import WeftError
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET
from weft.reco.feed import Events, processes_of
from weft.triplets.label_options import LabelOptions
from weft.triplets.stored_truth import read_truth

#: Events that are counted at most, evenly chosen.
MOST = 1000


def count_triplets(events: Events, labels: LabelOptions) -> dict[str, int]:
    """{"events": counted, "good": …, "ghosts": …} of training events; those of unknown truth are neither."""
    chosen = np.unique(np.linspace(0, max(len(events) - 1, 0), min(len(events), MOST)).astype(int))
    states = [_states(events[int(k)], labels) for k in chosen]
    good, ghosts = (sum(int((s == state).sum()) for s in states) for state in (GOOD_TRIPLET, GHOST_TRIPLET))
    return {"events": len(states), "good": good, "ghosts": ghosts}


def prior_shift(counted: Mapping[str, Any] | None) -> float:
    """What is added to a balanced logit: ln(good/ghosts) of :func:`count_triplets`.

    Raises WeftError where nothing was counted, as for models of earlier versions, or there is none of a kind.
    """
    if not counted:
        raise WeftError(
            "data.prior: events: the model does not say how many good triplets it was trained on; train it again, or "
            "ask for data.prior: balanced"
        )
    good, ghosts = int(counted["good"]), int(counted["ghosts"])
    if not good or not ghosts:
        raise WeftError(
            f"data.prior: events: {good} good triplets and {ghosts} ghosts were counted, expected some of both"
        )
    return math.log(good / ghosts)


def shifted(score: np.ndarray, shift: float) -> np.ndarray:
    """float64: balanced scores in 0 to 1 with a prior; 0 and 1 stay what they are."""
    score = np.asarray(score, np.float64)
    odds = score * math.exp(shift)
    return odds / (odds + 1 - score)


def _states(event: Event, labels: LabelOptions) -> np.ndarray:
    true = read_truth(
        lambda name: event[f"truth/{name}"], event["pixels"], event["triplets"], labels, processes_of(event)
    )
    return true.triplets["good"]
