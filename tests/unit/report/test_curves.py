import re

import invented
import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from weft.report.curves import learning_curves, smooth


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.integers(1, 40))
def test_smooth_is_a_running_mean(values, span):
    expected = [np.mean(values[max(0, k - span + 1) : k + 1]) for k in range(len(values))]
    np.testing.assert_allclose(smooth(np.array(values), span), expected, atol=1e-9)


def panels(figure):
    return re.findall(r">([^<>]*)</text>", figure.svg)


def test_panels_are_the_metrics_that_were_logged():
    logs = {"seed0": invented.log(0), "seed1": invented.log(1)}
    words = panels(learning_curves("k", logs, ["mean_iou", "purity"]))
    assert "loss" in words
    assert "mean IoU" in words
    assert "purity" not in words
    assert {"seed0", "seed1"} <= set(words)


def test_the_best_step_has_a_ring():
    logs = {"seed0": invented.log(0)}
    plain = learning_curves("k", logs, ["mean_iou"])
    ringed = learning_curves("k", logs, ["mean_iou"], {"seed0": 1250})
    elsewhere = learning_curves("k", logs, ["mean_iou"], {"seed0": 1251})
    assert "ring" in ringed.caption
    assert len(ringed.svg) > len(plain.svg)
    assert len(elsewhere.svg) == len(plain.svg)
    assert "ring" not in elsewhere.caption


def test_a_run_without_validation_is_drawn():
    log = pd.DataFrame({"step": [1, 2], "split": "train", "loss": [2.0, np.nan]})
    figure = learning_curves("k", {"seed0": log}, best={"seed0": 2})
    assert figure.svg.startswith("<svg")
    assert "validation" not in figure.caption
    assert "ring" not in figure.caption
