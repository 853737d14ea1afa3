import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics import bootstrap as boot
from weft.metrics.bootstrap import bootstrap, paired_bootstrap
from weft.metrics.segmentation import accuracy, recall


def ratio(sums):
    return sums[..., 0] / sums[..., 1]


def with_ones(values):
    return np.stack([values, np.ones_like(values)], axis=1)


def test_spread_of_a_mean_is_the_analytic_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    interval = bootstrap(with_ones(values), ratio, n_replicas=8000)
    half = 1.959964 * values.std() / np.sqrt(len(values))
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.04 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.04 * half)
    assert interval.n_events == 400


def test_level_sets_the_width():
    values = np.random.default_rng(2).normal(0.0, 1.0, 300)
    narrow = bootstrap(with_ones(values), ratio, n_replicas=8000, level=0.6827)
    assert (narrow.high - narrow.low) / 2 == pytest.approx(values.std() / np.sqrt(300), rel=0.04)


def test_coverage_of_an_accuracy():
    """The 95 % interval covers the true accuracy in about 95 % of repeated experiments (200: 91 to 98 %)."""
    rng = np.random.default_rng(3)
    n_covered = 0
    for trial in range(200):
        right = rng.binomial(40, 0.8, size=120)
        counts = np.zeros((120, 2, 2))
        counts[:, 0, 0], counts[:, 0, 1] = right, 40 - right
        interval = bootstrap(counts, accuracy, n_replicas=400, seed=trial)
        n_covered += bool(interval.low <= 0.8 <= interval.high)
    assert 182 <= n_covered <= 197


def test_pairs_cancel_what_events_have_in_common():
    rng = np.random.default_rng(4)
    hardness = rng.normal(0.0, 1.0, 250)
    first, second = with_ones(hardness + 0.05), with_ones(hardness)
    difference = paired_bootstrap(first, second, ratio)
    assert difference.value == pytest.approx(0.05)
    assert difference.high - difference.low < 1e-12
    assert difference.low > 0
    alone = bootstrap(first, ratio)
    assert alone.high - alone.low > 0.2


def test_a_model_does_not_beat_itself():
    counts = np.random.default_rng(5).integers(0, 9, (60, 3, 3))
    difference = paired_bootstrap(counts, counts, accuracy)
    assert difference.value == difference.low == difference.high == 0


def test_a_worse_model_is_below_zero():
    counts = np.zeros((50, 2, 2))
    counts[:, 0, 0] = 10
    worse = counts[:, :, ::-1]
    difference = paired_bootstrap(worse, counts, accuracy)
    assert difference.value == -1
    assert difference.low == difference.high == -1


def test_the_seed_decides_and_the_block_size_does_not(monkeypatch):
    counts = np.random.default_rng(6).integers(0, 9, (30, 4, 4))
    whole = bootstrap(counts, recall, n_replicas=100, seed=7)
    monkeypatch.setattr(boot, "_CHUNK", 240)
    blocks = bootstrap(counts, recall, n_replicas=100, seed=7)
    np.testing.assert_array_equal(whole.low, blocks.low)
    np.testing.assert_array_equal(whole.high, blocks.high)
    other = bootstrap(counts, recall, n_replicas=100, seed=8)
    assert (other.low != whole.low).any()


def test_weights_are_draws_with_replacement():
    weights = np.concatenate(list(boot._weights(n_events=5, n_replicas=4000, seed=0)))
    assert (weights.sum(axis=1) == 5).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(axis=0), 1 - 1 / 5, atol=0.06)  # multinomial: n p (1 - p)


def test_replicas_without_a_class_are_left_out_of_its_interval():
    counts = np.zeros((6, 2, 2))
    counts[:, 0, 0] = 10
    counts[0, 1] = [1, 3]  # only one event has class 1: many replicas lack it
    interval = bootstrap(counts, recall)
    np.testing.assert_allclose(interval.value, [1, 0.75])
    np.testing.assert_allclose(interval.low, [1, 0.75])
    absent = bootstrap(counts[1:], recall)
    assert np.isnan(absent.low[1])


def test_one_event_has_no_interval():
    """All replicas of it are the same: an interval of no width would exclude zero whatever the models are worth."""
    counts = np.array([[[7.0, 3], [1, 9]]])
    for interval in (bootstrap(counts, recall), paired_bootstrap(counts, counts[:, ::-1], recall)):
        assert interval.value.shape == (2,)
        assert np.isnan(interval.low).all()
        assert np.isnan(interval.high).all()
    np.testing.assert_allclose(bootstrap(counts, recall).value, [0.7, 0.9])


def test_refuses_no_events_and_unequal_ones():
    with pytest.raises(WeftError, match="at least one event"):
        bootstrap(np.zeros((0, 5, 5)), accuracy)
    with pytest.raises(WeftError, match="the same events"):
        paired_bootstrap(np.zeros((3, 5, 5)), np.zeros((4, 5, 5)), accuracy)
