"""Rows for trees: weights, bounds, and that none is favoured."""

import numpy as np

from weft.tasks.drawn_rows import DrawnRows


def test_sample_weights_stand_for_what_was_left_out():
    sample = DrawnRows(10, 1000, 1, seed=0)
    labels = np.repeat([0, 1, -1], [100, 4, 7]).astype(np.int8)
    for _ in range(5):
        sample.add(np.arange(111, dtype=np.float32)[:, None], labels)
    features, kept, weights = sample.rows()
    assert np.bincount(kept).tolist() == [50, 20]
    assert np.bincount(kept, weights).tolist() == [500, 20]
    assert len(features) == 70
    assert (features[kept == 1, 0] >= 100).all()


def test_thinning_bounds_the_sample_and_favours_nobody():
    sample = DrawnRows(50, 600, 1, seed=1)
    for k in range(100):
        sample.add(np.full((60, 1), k, np.float32), np.zeros(60, np.int8))
        assert len(sample.rows()[1]) <= 600
    events = sample.rows()[0][:, 0]
    assert len(events) >= 200
    assert abs(events.mean() - 49.5) < 4  # spread over the whole stream, not its beginning or end


def test_nothing_drawn_keeps_the_shape():
    features, labels, weights = DrawnRows(5, 5, 3, seed=0).rows()
    assert (features.shape, labels.shape, weights.shape) == ((0, 3), (0,), (0,))
