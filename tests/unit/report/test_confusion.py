import re
import xml.etree.ElementTree as ET

import numpy as np

from weft.report.confusion import confusion_panels

COUNTS = {"model": np.array([[3, 1], [0, 0]]), "baseline": np.array([[1000, 0], [1, 7]])}
LABELS = ("called", "true")


def words(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</text>", svg)


def drawn(counts, true=("a", "b"), called=("a", "b")) -> str:
    return confusion_panels("key", counts, true, called, LABELS, "What was called what", (3, 3))


def test_per_cents_of_each_row_stand_over_the_numbers():
    svg = drawn(COUNTS)
    ET.fromstring(svg)
    assert "<title>What was called what</title>" in svg
    assert svg == drawn(COUNTS)
    first, second = " ".join(words(svg)).split("baseline")[0], drawn({"baseline": COUNTS["baseline"]})
    for text in ("75.0", "25.0", "3", "1", "model", *LABELS):
        assert text in first.split()
    cells = [word for word in words(second) if re.fullmatch(r"[\d.]+k?", word)]
    assert cells == ["100.0", "1.0k", "0.0", "0", "12.5", "1", "87.5", "7"]


def test_a_class_that_does_not_occur_has_no_per_cents():
    cells = [word for word in words(drawn({"model": COUNTS["model"]})) if re.fullmatch(r"[\d.–]+", word)]
    assert cells == ["75.0", "3", "25.0", "1", "–", "0", "–", "0"]


def test_many_columns_are_in_whole_per_cents():
    wide = np.array([[1, 2, 0, 0, 0, 0, 5]])
    cells = [word for word in words(drawn({"model": wide}, "a", "abcdefg")) if re.fullmatch(r"[\d.]+", word)]
    assert cells[:4] == ["12", "1", "25", "2"]
    assert cells[-2:] == ["62", "5"]
