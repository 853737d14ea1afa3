import numpy as np
import pytest

from weft.errors import WeftError
from weft.metrics.calibration import confidence_bins, expected_calibration_error


def test_bins_are_closed_below_and_one_joins_the_last():
    np.testing.assert_array_equal(confidence_bins([0, 0.09, 0.1, 0.55, 0.999, 1], 10), [0, 0, 1, 5, 9, 9])


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_confidence_is_a_probability(bad):
    with pytest.raises(WeftError, match="not a probability"):
        confidence_bins([0.5, bad], 10)


def test_calibration_error_by_hand():
    # 10 predictions at 0.9 of which 7 right, 30 at 0.6 of which 21 right: (2 + 3) / 40.
    assert expected_calibration_error([10, 0, 30], [7, 0, 21], [9, 0, 18]) == pytest.approx(5 / 40)
    assert np.isnan(expected_calibration_error([0], [0], [0]))


def test_perfectly_calibrated_predictions_have_a_small_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 200_000)
    right = rng.uniform(size=confidence.size) < confidence
    bins = confidence_bins(confidence, 20)
    sums = [np.bincount(bins, w, minlength=20) for w in (np.ones_like(confidence), right, confidence)]
    assert expected_calibration_error(*sums) < 0.005
