import numpy as np

from weft.metrics.shares import share


def test_nothing_to_divide_by_is_not_a_number():
    found = share([1, 2, 0], [4, 0, 0])
    assert found.dtype == np.float64
    assert found[0] == 0.25
    assert np.isnan(found[1:]).all()


def test_shapes_are_broadcast():
    assert share(np.ones((2, 1)), np.array([1, 2, 4])).tolist() == [[1, 0.5, 0.25]] * 2
    assert float(share(3, 4)) == 0.75
