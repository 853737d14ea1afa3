import numpy as np
import pytest

from weft.detector.dead import dead_runs


@pytest.mark.parametrize("share", [0.0, 0.04, 0.18, 0.5, 1.0])
@pytest.mark.parametrize("wires", [1, 37, 2400])
def test_the_share_is_exact(wires, share):
    for seed in range(5):
        dead = dead_runs(wires, share, 8.0, (seed, 0))
        assert dead.shape == (wires,)
        assert dead.sum() == round(share * wires)


def test_runs_have_their_length():
    dead = np.concatenate([np.append(dead_runs(4000, 0.05, 10.0, (seed, 0)), False) for seed in range(50)])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dead.astype(int)])))
    lengths = edges[1::2] - edges[::2]
    # 200 dead wires in 20 runs among 3800 live ones: a tenth of the runs lies beside another at most.
    assert np.mean(lengths) == pytest.approx(10, rel=0.12)
    assert np.std(lengths) == pytest.approx(9.5, rel=0.25)
    alone = dead_runs(4000, 0.01, 1.0, (0, 0))
    assert np.diff(np.flatnonzero(alone)).min() >= 1
    assert alone.sum() == 40


def test_all_places_are_as_likely():
    hits = sum(dead_runs(50, 0.2, 3.0, (seed, 0)).astype(int) for seed in range(3000))
    assert hits.sum() == 30000
    assert np.all(np.abs(hits / 3000 - 0.2) < 0.035)


def test_a_map_is_a_function_of_its_key():
    a = dead_runs(500, 0.1, 8.0, (1, 0))
    assert np.array_equal(a, dead_runs(500, 0.1, 8.0, (1, 0)))
    assert not np.array_equal(a, dead_runs(500, 0.1, 8.0, (1, 1)))
    assert not np.array_equal(a, dead_runs(500, 0.1, 8.0, (2, 0)))
