import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from weft.metrics.separation import (
    SCORE_BINS,
    SCORE_EDGES,
    average_precision,
    efficiency,
    first_bin,
    kept,
    purity,
    rejection,
    roc_auc,
    score_bin,
)


def histogram(score):
    return np.bincount(score_bin(score), minlength=SCORE_BINS)


def drawn(seed, sharpness, n_good=4000, n_bad=16000):
    """Scores that are the more confident, the sharper."""
    rng = np.random.default_rng(seed)
    log_odds = np.concatenate([rng.normal(1, 1.5, n_good), rng.normal(-1, 1.5, n_bad)]) * sharpness
    return np.arange(n_good + n_bad) < n_good, (1 / (1 + np.exp(-log_odds))).astype(np.float32)


def test_edges():
    assert SCORE_EDGES[0] == 0
    assert SCORE_EDGES[-1] == 1
    assert (np.diff(SCORE_EDGES) > 0).all()
    for threshold in (0.2, 0.3, 0.5):
        start = first_bin(threshold)
        assert score_bin(np.float32(threshold)) == start
        assert score_bin(np.nextafter(np.float32(threshold), np.float32(0))) == start - 1
    assert score_bin([0.0, 1.0]).tolist() == [0, SCORE_BINS - 1]
    with pytest.raises(ValueError, match="no edge"):
        first_bin(0.12345)


@pytest.mark.parametrize("sharpness", [0.1, 0.5, 1.0, 3.0, 5.0])
def test_areas_are_those_of_scikit_learn(sharpness):
    good, score = drawn(0, sharpness)
    histograms = histogram(score[good]), histogram(score[~good])
    assert roc_auc(*histograms) == pytest.approx(roc_auc_score(good, score), abs=1e-3)
    assert average_precision(*histograms) == pytest.approx(average_precision_score(good, score), abs=1e-3)


def test_areas_where_most_scores_are_not_known():
    # Rows that were not written count as score 0: mixed among themselves, below all others.
    good, score = drawn(1, 2.0)
    score = np.where(score < 0.2, 0, score)
    histograms = histogram(score[good]), histogram(score[~good])
    assert roc_auc(*histograms) == pytest.approx(roc_auc_score(good, score), abs=1e-3)


def test_pooled_areas_are_those_of_all_events_together():
    events = [drawn(seed, 1.0, 300, 900) for seed in range(5)]
    counts = np.array([[histogram(s[g]), histogram(s[~g])] for g, s in events])
    good, score = (np.concatenate(part) for part in zip(*events, strict=True))
    pooled = counts.sum(axis=0)
    assert average_precision(*pooled) == pytest.approx(average_precision_score(good, score), abs=2e-3)
    each = average_precision(counts[:, 0], counts[:, 1])
    assert each.shape == (5,)
    assert each[2] == average_precision(*counts[2])


def test_by_hand():
    good, bad = np.zeros(SCORE_BINS), np.zeros(SCORE_BINS)
    low, middle, high = first_bin(0.1), first_bin(0.4), first_bin(0.9)
    good[[low, middle, high]] = 1, 2, 5
    bad[[low, middle]] = 6, 2
    # 5 good ones above all 8 bad ones, 2 above 6 and even with 2, 1 even with 6.
    assert roc_auc(good, bad) == (5 * 8 + 2 * (6 + 1) + 3) / (8 * 8)
    assert efficiency(good, 0.4) == 7 / 8
    assert purity(good, bad, 0.4) == 7 / 9
    assert efficiency(good, 0.5) == 5 / 8
    assert purity(good, bad, 0.5) == 1
    # 5 of precision 1, then the integrals of (5 + t)/(5 + 2t) from 0 to 2 and (7 + t)/(9 + 7t) from 0 to 1.
    t = (np.arange(200_000) + 0.5) / 200_000
    area = 5 + 2 * ((5 + 2 * t) / (5 + 4 * t)).mean() + ((7 + t) / (9 + 7 * t)).mean()
    assert average_precision(good, bad) == pytest.approx(area / 8, rel=1e-9)
    # 7.6 of 8 good ones: all of the upper two bins and 0.6 of the last, with its share of 6 bad ones.
    assert rejection(good, bad, 0.95) == pytest.approx(1 - (2 + 0.6 * 6) / 8)
    assert rejection(good, bad, 5 / 8) == 1
    assert rejection(good, bad, 1.0) == 0
    cut = kept(good, bad)
    assert cut.good[[0, middle, middle + 1, -1]].tolist() == [8, 7, 5, 0]
    assert cut.bad[[0, middle, -1]].tolist() == [8, 2, 0]


def test_rejection_is_that_of_sorted_scores():
    good, score = drawn(3, 1.0)
    threshold = np.quantile(score[good], 0.05)
    exact = (score[~good] < threshold).mean()
    assert rejection(histogram(score[good]), histogram(score[~good]), 0.95) == pytest.approx(exact, abs=2e-3)


def test_a_score_that_says_nothing():
    good, _ = drawn(4, 1.0)
    even = np.full(len(good), 0.5, np.float32)
    histograms = histogram(even[good]), histogram(even[~good])
    assert roc_auc(*histograms) == 0.5
    assert average_precision(*histograms) == pytest.approx(0.2)
    assert rejection(*histograms, 0.95) == pytest.approx(0.05)


def test_nothing_to_tell():
    none, some = np.zeros(SCORE_BINS), np.ones(SCORE_BINS)
    for metric in (roc_auc, average_precision, lambda g, b: rejection(g, b, 0.95)):
        assert np.isnan(metric(none, some))
    assert np.isnan(roc_auc(some, none))
    assert np.isnan(rejection(some, none, 0.95))
    assert average_precision(some, none) == pytest.approx(1)
    assert np.isnan(efficiency(none, 0.5))
    assert np.isnan(purity(none, none, 0.5))
