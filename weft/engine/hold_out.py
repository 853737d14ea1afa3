"""Which events of the training split are held out for validation."""

from __future__ import annotations

import numpy as np

from weft.config.training import HoldOut
from weft.engine.corpus import Corpus
from weft.errors import WeftError


def parted(corpus: Corpus, options: HoldOut) -> tuple[Corpus, Corpus]:
    """(to learn from, to validate on), each in the order of the corpus.

    Raises:
        WeftError: an event is not there, or one of the two would have none.
    """
    chosen = held_out(len(corpus), options)
    rest = np.setdiff1d(np.arange(len(corpus)), chosen)
    if not len(rest) or not len(chosen):
        raise WeftError(
            f"training.hold_out: of {len(corpus)} training events {len(chosen)} would be held out; "
            "at least one is needed for each, learning and validation"
        )
    return corpus.part(rest), corpus.part(chosen)


def held_out(count: int, options: HoldOut) -> np.ndarray:
    """int64, increasing: the events that are held out of so many. Folds and shares are of one order at random, which
    depends on the count alone: folds do not overlap, and seeds are comparable."""
    if options.events:
        beyond = [event for event in options.events if event >= count]
        if beyond:
            raise WeftError(f"training.hold_out.events: {beyond[0]}: there are {count} training events, from 0 on")
        return np.sort(np.array(options.events, np.int64))
    order = np.random.default_rng(count).permutation(count)
    if options.fold is not None:
        return np.sort(order[options.fold :: options.folds])
    assert options.fraction is not None
    return np.sort(order[: max(1, round(options.fraction * count))])
