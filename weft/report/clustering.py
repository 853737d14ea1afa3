"""Tables and figures of any clustering, from the score tables of :mod:`weft.reco.clustering_scores`."""

from __future__ import annotations

from collections.abc import Mapping

from weft.metrics.scores import Scores
from weft.report.figure import Figure


def clustering_figures(scores: Mapping[str, Scores], split: str, what: str = "fragments") -> list[Figure]:
    """Tables (all, per class, shifted conditions) and figures (ARI of events, purity and efficiency by size, energy).

    scores: by variant, such as seed0, seed1 and baseline; at least one that is not the baseline.
    split: the one to judge by. what: the clusters' name in captions, in the plural.
    Raises WeftError where there are no scores of the split, and where variants were scored on different events.
    """
    raise NotImplementedError
