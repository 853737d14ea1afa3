import numpy as np
import pytest
from scipy.spatial import cKDTree

from weft.errors import WeftError
from weft.reco.voxel_graph import knn_edges, radius_edges


def cloud(seed: int, n: int = 800, size: int = 14) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(-3, size, (n, 3)), axis=0)
    rng.shuffle(coords)
    return coords, rng.integers(-1, 3, len(coords))


@pytest.mark.parametrize("radius", [1.0, 1.5, 1.9, 2.0, 3.3])
def test_radius_edges_are_those_of_a_search_tree(radius: float) -> None:
    coords, groups = cloud(int(10 * radius))
    pairs = np.sort(cKDTree(coords).query_pairs(radius + 1e-9, output_type="ndarray"), axis=1)
    same = (groups[pairs[:, 0]] == groups[pairs[:, 1]]) & (groups[pairs[:, 0]] >= 0)
    expected = pairs[same]
    np.testing.assert_array_equal(radius_edges(coords, radius, groups), expected[np.lexsort(expected.T[::-1])])


def test_a_voxel_in_a_full_block_has_26_neighbours() -> None:
    block = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    edges = radius_edges(block, 1.9)
    centre = np.flatnonzero((block == 2).all(1))[0]
    assert (edges == centre).sum() == 26


def test_edges_do_not_depend_on_place_or_order() -> None:
    coords, groups = cloud(1)
    edges = radius_edges(coords, 1.9, groups)
    np.testing.assert_array_equal(radius_edges(coords - 1000, 1.9, groups), edges)
    order = np.random.default_rng(2).permutation(len(coords))
    again = np.sort(order[radius_edges(coords[order], 1.9, groups[order])], axis=1)
    np.testing.assert_array_equal(again[np.lexsort(again.T[::-1])], edges)


@pytest.mark.parametrize("k", [1, 3, 10_000])
def test_knn_edges_are_the_nearest_by_brute_force(k: int) -> None:
    coords, groups = cloud(3, 120)
    expected = set()
    for g in range(3):
        rows = np.flatnonzero(groups == g)
        square = ((coords[rows, None] - coords[None, rows]) ** 2).sum(2).astype(float)
        np.fill_diagonal(square, np.inf)
        for i, near in enumerate(np.argsort(square, axis=1, kind="stable")[:, : min(k, len(rows) - 1)]):
            expected |= {tuple(sorted((rows[i], rows[j]))) for j in near}
    np.testing.assert_array_equal(knn_edges(coords, k, groups), sorted(expected))


@pytest.mark.parametrize("n", [0, 1])
def test_no_edges_without_pairs(n: int) -> None:
    coords = np.zeros((n, 3), np.int32)
    for edges in (radius_edges(coords, 1.9), knn_edges(coords, 3), radius_edges(coords, 1.9, np.full(n, -1))):
        assert edges.shape == (0, 2)
        assert edges.dtype == np.int32


def test_what_cannot_be_asked_is_said() -> None:
    twice = np.zeros((2, 3), np.int32)
    with pytest.raises(WeftError, match="occur twice"):
        radius_edges(twice, 1.9)
    with pytest.raises(WeftError, match="radius above 0"):
        radius_edges(twice, 0)
    with pytest.raises(WeftError, match="at least 1"):
        knn_edges(twice, 0)
