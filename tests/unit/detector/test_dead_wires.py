import numpy as np
import pytest

from weft.detector.dead_wires import dead_wires
from weft.detector.wires import GapRule


def wires(text):
    """`#`: charge; `.`: none; `x`: known to be dead."""
    return np.array([c == "x" for c in text]), np.array([50.0 if c == "#" else 10.0 for c in text])


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("##.##..##...##", 0, ""),
        ("##.##..##...##", 1, "2"),
        ("##.##..##...##", 2, "2 5 6"),
        ("..##....##...", 3, "0 1 10 11 12"),  # runs at the edges count too
        ("#..x..#", 2, "1 2 3 4 5"),  # a dead wire parts two runs
        ("#....x#", 3, "5"),
        ("....", 4, "0 1 2 3"),
        ("....", 3, ""),
        ("", 3, ""),
    ],
)
def test_gaps(text, longest, expected):
    bad, highest = wires(text)
    found = dead_wires(bad, highest, GapRule(10.0, longest))
    assert found.dtype == bool
    assert np.flatnonzero(found).tolist() == [int(w) for w in expected.split()]


def test_a_wire_is_empty_up_to_the_limit():
    highest = np.array([10.0, 10.5, 4.0])
    bad = np.zeros(3, bool)
    assert dead_wires(bad, highest, GapRule(10.0, 1)).tolist() == [True, False, True]
    assert dead_wires(bad, highest, GapRule(10.5, 3)).tolist() == [True, True, True]
    assert dead_wires(bad, highest, GapRule(5.0, 1)).tolist() == [False, False, True]
    assert not bad.any(), "the known ones are left as they are"


def test_against_a_loop():
    rng = np.random.default_rng(3)
    for _ in range(200):
        n, longest = rng.integers(0, 40), int(rng.integers(1, 6))
        bad, highest = rng.random(n) < 0.2, np.where(rng.random(n) < 0.4, 20.0, 0.0)
        expected = bad.copy()
        w = 0
        while w < n:
            stop = w
            while stop < n and not bad[stop] and highest[stop] <= 10:
                stop += 1
            if 0 < stop - w <= longest:
                expected[w:stop] = True
            w = max(stop, w + 1)
        assert np.array_equal(dead_wires(bad, highest, GapRule(10.0, longest)), expected)
