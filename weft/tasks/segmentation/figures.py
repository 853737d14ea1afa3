"""Figures of the segmentation report, from score tables alone."""

from __future__ import annotations

from collections.abc import Mapping

from weft.metrics.scores import Scores
from weft.report.figure import Figure


def figures(scores: Mapping[str, Scores]) -> list[Figure]:
    return []
