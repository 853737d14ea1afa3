import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.io.larmatch_products import TRUE_KEY_POINTS
from weft.io.wire_products import PIXELS, TRIPLETS
from weft.triplets.label_options import LabelOptions
from weft.triplets.topology import boundary_neighbours, topology_weights


def of_cells(cells):
    """Pixels and triplets of cells (tpc, row, w0, w1, w2)."""
    cells = np.asarray(cells).reshape(-1, 5)
    pixels, triplets = np.zeros(3 * len(cells), PIXELS.dtype), np.zeros(len(cells), TRIPLETS.dtype)
    for plane in range(3):
        mine = np.arange(len(cells)) + plane * len(cells)
        triplets[f"pixel_{plane}"] = mine
        pixels["tpc"][mine], pixels["plane"][mine], pixels["row"][mine] = cells[:, 0], plane, cells[:, 1]
        pixels["wire"][mine] = cells[:, 2 + plane]
    return pixels, triplets


def neighbours(cells, classes):
    pixels, triplets = of_cells(cells)
    return boundary_neighbours(pixels, triplets, np.array(classes, np.int8)).tolist()


def test_neighbours_of_another_class_by_hand():
    middle = (0, 10, 20, 30, 40)
    assert neighbours([middle, (0, 11, 21, 29, 40)], [1, 2]) == [1, 1]
    assert neighbours([middle, (0, 11, 21, 29, 40)], [1, 1]) == [0, 0]
    for far in (
        (0, 12, 20, 30, 40),
        (0, 10, 22, 30, 40),
        (0, 10, 20, 28, 40),
        (0, 10, 20, 30, 42),
        (1, 10, 20, 30, 40),
    ):
        assert neighbours([middle, far], [1, 2]) == [0, 0]
    assert neighbours([middle, (0, 11, 21, 31, 41), (0, 9, 19, 29, 39), (0, 10, 20, 30, 41)], [0, 1, 1, 0]) == [
        2,
        2,
        1,
        1,
    ]
    assert neighbours([], []) == []


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_neighbours_by_brute_force_in_any_order(seed):
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.integers(0, [2, 5, 5, 5, 5], (80, 5)), axis=0)
    classes = rng.integers(0, 3, len(cells))
    found = np.array(neighbours(cells, classes))
    near = (np.abs(cells[:, None] - cells[None]) <= [0, 1, 1, 1, 1]).all(-1)
    assert (found == (near & (classes[:, None] != classes[None])).sum(1)).all()
    order = rng.permutation(len(cells))
    assert (np.array(neighbours(cells[order], classes[order])) == found[order]).all()


def test_weights():
    options = LabelOptions(boundary_weight=2.0, vertex_weight=5.0, vertex_radius=3.0)
    points = np.array([(0, 0, 0, 0, -1), (50, 0, 0, 1, 0)], TRUE_KEY_POINTS.dtype)
    place = np.array([[2.9, 0, 0], [3.1, 0, 0], [3.1, 0, 0], [50, 0, 0]])
    weights = topology_weights(place, np.array([0, 0, 4, 0]), points, options)
    assert weights.dtype == np.float32
    assert weights.tolist() == [5, 1, 2, 1]  # a track's start is no vertex
    assert topology_weights(place, np.array([0, 0, 4, 1]), points[1:], options).tolist() == [1, 1, 2, 2]
    nothing_near = options.model_copy(update={"vertex_radius": 0.0})
    assert topology_weights(place, np.zeros(4, int), points, nothing_near).tolist() == [1, 1, 1, 1]
    assert topology_weights(place[:0], np.zeros(0, int), points, options).shape == (0,)
