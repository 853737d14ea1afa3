import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from weft.errors import WeftError
from weft.metrics import segmentation as seg

CLASS_METRICS = (seg.recall, seg.precision, seg.f1, seg.iou)

# Of class 0, 6 voxels are right and 2 called 1; of class 1, 3 are right and 1 called 2; both of class 2 are
# called 0.
COUNTS = np.array([[6, 2, 0], [0, 3, 1], [2, 0, 0]])


def test_metrics_by_hand():
    assert seg.accuracy(COUNTS) == pytest.approx(9 / 14)
    assert seg.recall(COUNTS) == pytest.approx([6 / 8, 3 / 4, 0])
    assert seg.precision(COUNTS) == pytest.approx([6 / 8, 3 / 5, 0])
    assert seg.f1(COUNTS) == pytest.approx([12 / 16, 6 / 9, 0])
    assert seg.iou(COUNTS) == pytest.approx([6 / 10, 3 / 6, 0])
    assert seg.mean_iou(COUNTS) == pytest.approx((0.6 + 0.5) / 3)
    assert seg.macro_f1(COUNTS) == pytest.approx((0.75 + 2 / 3) / 3)
    assert seg.mean_recall(COUNTS) == pytest.approx(0.5)
    assert seg.frequency_weighted_iou(COUNTS) == pytest.approx((8 * 0.6 + 4 * 0.5) / 14)


def test_absent_classes_are_left_out_of_means_unless_predicted():
    counts = np.zeros((4, 4), int)
    counts[0, 0], counts[1, 1], counts[1, 3] = 5, 3, 1  # class 2 nowhere, class 3 only predicted
    np.testing.assert_allclose(seg.recall(counts), [1, 0.75, np.nan, np.nan])
    np.testing.assert_allclose(seg.precision(counts), [1, 1, np.nan, 0])
    np.testing.assert_allclose(seg.iou(counts), [1, 0.75, np.nan, 0])
    np.testing.assert_allclose(seg.f1(counts), [1, 6 / 7, np.nan, 0])
    assert seg.mean_iou(counts) == pytest.approx(1.75 / 3)
    assert seg.mean_recall(counts) == pytest.approx(0.875)
    assert seg.frequency_weighted_iou(counts) == pytest.approx((5 * 1 + 4 * 0.75) / 9)
    assert np.isnan(seg.frequency_weighted_iou(np.zeros((2, 2))))


def test_nothing_labelled_gives_nan_everywhere():
    empty = np.zeros((5, 5), int)
    for metric in (*seg.SCALAR_METRICS.values(), *CLASS_METRICS):
        assert np.isnan(metric(empty)).all()


def test_counts_ignore_voxels_without_label_whatever_their_prediction():
    counts = seg.confusion_counts([0, 1, -1, 1], [0, 0, 7, 1], 2)
    np.testing.assert_array_equal(counts, [[1, 0], [1, 1]])


def test_counts_of_a_run_of_events_keep_empty_events():
    counts = seg.confusion_counts([[0], [1], [1]], [[0], [1], [0]], 2, offsets=[0, 1, 1, 3])
    np.testing.assert_array_equal(counts, [[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [1, 1]]])


@pytest.mark.parametrize(
    ("truth", "predicted", "offsets", "message"),
    [
        ([0, 2], [0, 0], None, "true label 2"),
        ([0, -2], [0, 0], None, "true label -2"),
        ([0, 1], [0, -1], None, "prediction -1"),
        ([0, 1], [0, 2], None, "prediction 2"),
        ([0, 1], [0], None, "2 true labels but 1 predictions"),
        ([0, 1], [0, 1], [0, 1], "offsets run from 0 to 1"),
    ],
)
def test_counts_refuse(truth, predicted, offsets, message):
    with pytest.raises(WeftError, match=message):
        seg.confusion_counts(truth, predicted, 2, offsets)


def test_without_class_drops_its_voxels_and_keeps_wrong_answers():
    counts = np.arange(25).reshape(5, 5)
    kept = seg.without_class(counts, 4)
    np.testing.assert_array_equal(kept, counts[:4])
    assert seg.accuracy(kept) == pytest.approx((0 + 6 + 12 + 18) / counts[:4].sum())
    assert seg.precision(kept)[0] == pytest.approx(0 / (0 + 5 + 10 + 15))
    assert seg.recall(kept)[1] == pytest.approx(6 / counts[1].sum())


def test_without_class_in_the_middle_and_twice():
    counts = np.arange(16).reshape(4, 4)
    once = seg.without_class(counts, 1)
    np.testing.assert_array_equal(once, counts[[0, 2, 3]][:, [0, 2, 3, 1]])
    twice = seg.without_class(once, 2)
    np.testing.assert_array_equal(twice, counts[[0, 2]][:, [0, 2, 3, 1]])
    with pytest.raises(WeftError, match="cannot remove class 3"):
        seg.without_class(once, 3)


labels = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(labels)
@settings(max_examples=80, deadline=None)
def test_equal_to_scikit_learn(pairs):
    truth, predicted = np.array(pairs).T
    counts = seg.confusion_counts(truth, predicted, 5)
    truth, predicted = truth[truth >= 0], predicted[truth >= 0]
    assert counts.sum() == len(truth)
    if not len(truth):
        return
    np.testing.assert_array_equal(counts, sk.confusion_matrix(truth, predicted, labels=range(5)))
    present = sorted({*truth, *predicted})
    expected = {
        "f1": sk.f1_score(truth, predicted, labels=present, average=None, zero_division=0),
        "iou": sk.jaccard_score(truth, predicted, labels=present, average=None, zero_division=0),
    }
    np.testing.assert_allclose(seg.f1(counts)[present], expected["f1"])
    np.testing.assert_allclose(seg.iou(counts)[present], expected["iou"])
    assert seg.macro_f1(counts) == pytest.approx(expected["f1"].mean())
    assert seg.mean_iou(counts) == pytest.approx(expected["iou"].mean())
    assert seg.accuracy(counts) == pytest.approx(sk.accuracy_score(truth, predicted))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_leading_dimensions_and_relabelling(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (3, 2, 5, 5))
    order = rng.permutation(5)
    permuted = counts[..., order[:, None], order]
    for metric in seg.SCALAR_METRICS.values():
        values = metric(counts)
        assert values.shape == (3, 2)
        np.testing.assert_allclose(metric(counts[1, 1]), values[1, 1])
        np.testing.assert_allclose(metric(permuted), values)
    for metric in CLASS_METRICS:
        np.testing.assert_allclose(metric(permuted), metric(counts)[..., order])
