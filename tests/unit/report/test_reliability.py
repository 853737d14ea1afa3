import re
import xml.etree.ElementTree as ET

import numpy as np

from weft.report.reliability import reliability_diagram


def drawn(fewest=1, decimals=3):
    # Two bins: 10 answers with a mean score of 0.25, 5 right; 10 of 0.75, all right: 0.25 off in each.
    bins = {
        "model": (np.array([10, 10]), np.array([5, 10]), np.array([2.5, 7.5])),
        "baseline": (np.array([0, 4]), np.array([0, 3]), np.array([0.0, 3.0])),
    }
    words = "voxels", "right answers", "score of the class"
    return reliability_diagram("key", bins, *words, "How often it is right", fewest, decimals)


def test_the_error_and_the_words_are_written():
    svg = drawn()
    ET.fromstring(svg)
    assert "<title>How often it is right</title>" in svg
    words = re.findall(r">([^<>]+)</text>", svg)
    for text in ("model: error 0.250", "baseline: error 0.000", "share of voxels", "share of right answers"):
        assert text in words
    assert "score of the class" in words
    assert svg == drawn()


def test_decimals_and_bins_of_few_answers():
    assert "model: error 0.2500" in drawn(decimals=4)
    assert len(drawn(fewest=5)) < len(drawn())  # the baseline's 4 answers are no point any more
