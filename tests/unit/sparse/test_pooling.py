"""Pooling by hand and by gradcheck."""

import pytest
import torch
from clouds import cloud, draw

from weft.errors import WeftError
from weft.sparse import GlobalPool, Pool, SparseTensor, Unpool

LINE = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 3, 0], [2, -1, 0]])
VALUES = torch.tensor([[1.0], [5.0], [-7.0], [-2.0]])


@pytest.mark.parametrize(("reduction", "expected"), [("max", [5, -7, -2]), ("mean", [3, -7, -2]), ("sum", [6, -7, -2])])
def test_cells_of_the_stride_by_hand(reduction, expected):
    out = Pool(reduction, 2, 2)(SparseTensor.from_points(LINE, VALUES))
    assert out.coords.tolist() == [[0, 0, 0], [0, 2, 0], [2, -2, 0]]
    assert out.features.flatten().tolist() == expected


@pytest.mark.parametrize(("reduction", "expected"), [("max", [5, 5, -2]), ("mean", [3, -1, -2]), ("sum", [6, -2, -2])])
def test_overlapping_windows_by_hand(reduction, expected):
    # Three voxels around 0 and around 2 in event 0; around -2 in event 2 there is only -1.
    out = Pool(reduction, 2, 2, kernel_size=3)(SparseTensor.from_points(LINE, VALUES))
    assert out.features.flatten().tolist() == expected


@pytest.mark.parametrize(
    ("reduction", "expected"), [("max", [5, 0, -2]), ("mean", [-1 / 3, 0, -2]), ("sum", [-1, 0, -2])]
)
def test_global_pooling_gives_every_event_a_row(reduction, expected):
    out = GlobalPool(reduction)(SparseTensor.from_points(LINE, VALUES))
    torch.testing.assert_close(out.flatten(), torch.tensor(expected, dtype=torch.float32))


def test_unpooling_copies_to_the_voxels_inside():
    x = SparseTensor.from_points(LINE, VALUES)
    back = Unpool(2, 2)(Pool("sum", 2, 2)(x))
    assert back.stride == x.stride
    assert back.features.flatten().tolist() == [6, 6, -7, -2]
    with pytest.raises(WeftError, match="cannot be refined"):
        Unpool(2, 2)(x)


@pytest.mark.parametrize("reduction", ["max", "mean", "sum"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_gradients_in_float64(reduction, kernel):
    coords = cloud(1, 20, span=3)
    x = SparseTensor.from_points(coords, torch.zeros(len(coords), 1))
    values = draw(2, len(coords), 2)
    for layer in (Pool(reduction, 2, 3, kernel), GlobalPool(reduction)):

        def function(features, layer=layer):
            out = layer(x.with_features(features))
            return out if isinstance(out, torch.Tensor) else out.features

        assert torch.autograd.gradcheck(function, (values,))


def test_no_voxels_at_all():
    x = SparseTensor.from_points(torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 2), batch_size=2)
    for reduction in ("max", "mean", "sum"):
        assert Pool(reduction, 2, 3)(x).features.shape == (0, 2)
        assert GlobalPool(reduction)(x).tolist() == [[0, 0], [0, 0]]
