import numpy as np
import pytest

from weft.reco.branching import linearity


def line(direction: tuple[int, int, int], n: int = 21) -> np.ndarray:
    return np.arange(n)[:, None] * np.array(direction)


def test_a_straight_line_is_a_line() -> None:
    np.testing.assert_allclose(linearity(line((1, 1, 0)), 5.0), 1.0, atol=1e-12)


def test_the_middle_of_a_cross_is_none_and_its_arms_are() -> None:
    cross = np.unique(np.concatenate([line((1, 0, 0)) - (10, 0, 0), line((0, 1, 0)) - (0, 10, 0)]), axis=0)
    values = linearity(cross, 5.0)
    distance = np.abs(cross).sum(1)
    # Within 5 voxels of the middle: arms of 5 along either axis, so equal eigenvalues.
    assert values[distance == 0] == pytest.approx(0.0, abs=1e-12)
    assert values[distance >= 6].min() > 0.95


def test_linearity_by_hand() -> None:
    # An L of three voxels, all within reach of each: scatter [[2, -1], [-1, 2]]/9 has eigenvalues 3/9 and 1/9.
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(linearity(corner, 2.0), 2 / 3)


def test_it_turns_and_moves_with_the_voxels() -> None:
    voxels = np.unique(np.random.default_rng(0).integers(0, 12, (200, 3)), axis=0)
    values = linearity(voxels, 3.0)
    np.testing.assert_allclose(linearity(voxels[:, [2, 0, 1]] * (1, -1, 1) + 77, 3.0), values, atol=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_of_few_voxels_nothing_is_said(n: int) -> None:
    assert linearity(line((1, 0, 0), n), 5.0).tolist() == [1.0] * n
