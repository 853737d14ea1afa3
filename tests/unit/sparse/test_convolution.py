"""Convolutions against torch's dense ones on the same grid, and what must not change them."""

import sys

import pytest
import torch
import torch.nn.functional as F
from clouds import cloud, draw

from weft.errors import WeftError
from weft.sparse import Pointwise, SparseTensor, StridedConv, SubmanifoldConv, TransposedConv, convolve
from weft.sparse.compiled import load_loops
from weft.sparse.tensor import engine_for

GRID = 24  # dense cells per axis; clouds span [-5, 5), the origin sits at ORIGIN, a multiple of every stride here
ORIGIN = 12


@pytest.fixture(params=["torch", "numba"])
def engine(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def to_dense(coords, features, events):
    dims = coords.shape[1] - 1
    grid = features.new_zeros(events, features.shape[1], *([GRID] * dims))
    index = coords.long()
    grid[(index[:, 0], slice(None), *(index[:, i + 1] + ORIGIN for i in range(dims)))] = features
    return grid


def at(grid, coords):
    index = coords.long()
    return grid[(index[:, 0], slice(None), *(index[:, i + 1] + ORIGIN for i in range(coords.shape[1] - 1)))]


def dense_weight(weight, kernel):
    """[K, in, out] with x fastest → torch's [out, in, x, y, z]."""
    dims = len(kernel)
    grid = weight.reshape(*kernel[::-1], *weight.shape[1:])  # z, y, x, in, out
    return grid.permute(dims + 1, dims, *reversed(range(dims)))


def dense_convolution(grid, weight, kernel, dilation, dims):
    """out[o] = sum_k w[k] · in[o + offset_k] at every cell."""
    padding = []
    for size, step in zip(reversed(kernel), reversed(dilation), strict=True):
        before = (size // 2) * step if size % 2 else 0
        padding += [before, (size - 1) * step - before]
    function = F.conv3d if dims == 3 else F.conv2d
    return function(F.pad(grid, padding), dense_weight(weight, kernel), dilation=tuple(dilation))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("kernel", "dilation"), [(1, 1), (3, 1), (5, 1), (3, 2), (2, 1), (4, 1), ((3, 1, 5), 1), ((2, 3, 3), (1, 2, 1))]
)
def test_submanifold_equals_dense_convolution_at_the_voxels(dims, kernel, dilation, engine):
    kernel = kernel[:dims] if isinstance(kernel, tuple) else kernel
    dilation = dilation[:dims] if isinstance(dilation, tuple) else dilation
    coords, features = cloud(1, 150, dims), None
    features = draw(2, len(coords), 3)
    layer = SubmanifoldConv(3, 4, kernel, dims, dilation).double()
    x = SparseTensor.from_points(coords, features, engine=engine)
    out = layer(x)
    dense = dense_convolution(to_dense(coords, features, 2), layer.weight, layer.kernel_size, layer.dilation, dims)
    expected = at(dense, coords)
    torch.testing.assert_close(out.at_points(), expected, rtol=0, atol=1e-12)

    probe = torch.randn_like(expected)
    ours = torch.autograd.grad((out.at_points() * probe).sum(), (features, layer.weight))
    theirs = torch.autograd.grad((expected * probe).sum(), (features, layer.weight))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


STRIDED = [(2, 2), (3, 2), (2, 3), (3, 3), (4, 2), (1, 2), (5, 4), ((2, 3, 2), (2, 1, 2))]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("kernel", "stride"), STRIDED)
def test_strided_equals_dense_convolution_on_the_occupied_coarse_cells(dims, kernel, stride, engine):
    kernel = kernel[:dims] if isinstance(kernel, tuple) else kernel
    stride = stride[:dims] if isinstance(stride, tuple) else stride
    coords = cloud(3, 120, dims)
    features = draw(4, len(coords), 2)
    layer = StridedConv(2, 3, kernel, stride, dims).double()
    out = layer(SparseTensor.from_points(coords, features, engine=engine))
    steps = torch.tensor((1, *layer.stride))
    coarse = torch.unique(torch.div(coords, steps, rounding_mode="floor") * steps, dim=0)
    assert torch.equal(out.coords, coarse.int())
    dense = dense_convolution(to_dense(coords, features, 2), layer.weight, layer.kernel_size, (1,) * dims, dims)
    torch.testing.assert_close(out.features, at(dense, coarse), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("kernel", "stride"), STRIDED)
def test_transposed_is_the_adjoint_of_strided(dims, kernel, stride, engine):
    kernel = kernel[:dims] if isinstance(kernel, tuple) else kernel
    stride = stride[:dims] if isinstance(stride, tuple) else stride
    x = SparseTensor.from_points(coords := cloud(5, 120, dims), draw(6, len(coords), 2), engine=engine)
    down = StridedConv(2, 3, kernel, stride, dims).double()
    up = TransposedConv(3, 2, kernel, stride, dims).double()
    with torch.no_grad():
        up.weight.copy_(down.weight.transpose(1, 2))
    y = down(x)
    z = torch.randn_like(y.features)
    back = up(y.with_features(z))
    assert back.stride == x.stride
    torch.testing.assert_close((y.features * z).sum(), (x.features * back.features).sum(), rtol=1e-12, atol=1e-12)


def test_a_hand_computed_line(engine):
    # Voxels 0, 1, 3 on a line hold 1, 10, 100; weights -1, 0, +1 along x are 2, 3, 5.
    coords = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 3, 0]])
    x = SparseTensor.from_points(coords, torch.tensor([[1.0], [10.0], [100.0]]), engine=engine)
    layer = SubmanifoldConv(1, 1, (3, 1), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, 3.0, 5.0]).view(3, 1, 1))
    assert layer(x).features.flatten().tolist() == [3 + 50, 2 + 30, 300]


def test_events_do_not_touch(engine):
    coords = torch.tensor([[0, 4, 4, 4], [1, 4, 4, 4], [1, 4, 4, 5]])
    layer = SubmanifoldConv(1, 1, 3, 3)
    x = SparseTensor.from_points(coords, torch.ones(3, 1), engine=engine)
    alone = SparseTensor.from_points(coords[:1], torch.ones(1, 1), engine=engine)
    torch.testing.assert_close(layer(x).features[:1], layer(alone).features)


@pytest.mark.parametrize("stride", [1, 2])
def test_neighbours_do_not_wrap_around_the_edges_of_the_batch(stride, engine):
    # (0, last) and (1, first) have consecutive keys but are no neighbours.
    coords = torch.tensor([[0, 0, 0], [0, 0, 3], [0, 1, 0], [1, 0, 0]])
    layer = SubmanifoldConv(1, 1, 3, 2) if stride == 1 else StridedConv(1, 1, 3, 2, 2)
    pairs_of = SparseTensor.from_points(coords, torch.ones(4, 1), engine=engine)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    out = layer(pairs_of)
    for row, coord in zip(out.features, out.coords, strict=True):
        near = (coords[:, 0] == coord[0]) & ((coords[:, 1:] - coord[1:]).abs() <= 1).all(1)
        assert row.item() == near.sum().item()


def test_order_of_points_and_translation_do_not_matter(engine):
    coords = cloud(7, 200)
    features = draw(8, len(coords), 2)
    layers = torch.nn.Sequential(
        SubmanifoldConv(2, 4, 3, 3),
        StridedConv(4, 4, 3, 2, 3),
        SubmanifoldConv(4, 4, 3, 3),
        TransposedConv(4, 2, 3, 2, 3),
    ).double()
    reference = layers(SparseTensor.from_points(coords, features, engine=engine)).at_points()
    order = torch.randperm(len(coords))
    shuffled = layers(SparseTensor.from_points(coords[order], features[order], engine=engine)).at_points()
    assert torch.equal(shuffled, reference[order])
    moved = coords + torch.tensor([0, -40, 1000, 6], dtype=torch.int32)
    torch.testing.assert_close(layers(SparseTensor.from_points(moved, features, engine=engine)).at_points(), reference)


def test_kernel_maps_are_built_once():
    x = SparseTensor.from_points(coords := cloud(9, 50), draw(1, len(coords), 2, dtype=torch.float32))
    first, second = SubmanifoldConv(2, 2, 3, 3), SubmanifoldConv(2, 2, 3, 3)
    stride = x.stride
    second(first(x))
    kernel_map = x.maps.kernel_map(stride, stride, (3, 3, 3), (1, 1, 1))
    pairs = kernel_map.pairs
    second(x).features.sum().backward()
    assert x.maps.kernel_map(stride, stride, (3, 3, 3), (1, 1, 1)) is kernel_map
    assert kernel_map.pairs is pairs
    assert pairs.swapped.swapped is pairs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_bit_identical_from_run_to_run(dtype, engine):
    coords = cloud(10, 3000, span=12)
    features = draw(11, len(coords), 16, dtype=dtype)
    layers = torch.nn.Sequential(SubmanifoldConv(16, 16, 3, 3), StridedConv(16, 8, 2, 2, 3)).to(dtype)

    def run():
        out = layers(SparseTensor.from_points(coords, features, engine=engine)).features
        return [out, *torch.autograd.grad(out.square().sum(), (features, *layers.parameters()))]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.parametrize("coords", [torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 3, dtype=torch.int64)])
def test_no_voxels_at_all(coords, engine):
    dims = coords.shape[1] - 1
    features = torch.zeros(0, 2, requires_grad=True)
    layers = torch.nn.Sequential(
        SubmanifoldConv(2, 3, 3, dims), StridedConv(3, 4, 2, 2, dims), TransposedConv(4, 5, 2, 2, dims)
    )
    out = layers(SparseTensor.from_points(coords, features, batch_size=3, engine=engine)).at_points()
    assert out.shape == (0, 5)
    out.sum().backward()
    assert all(not parameter.grad.any() for parameter in layers.parameters())


def test_gradients_in_float64(engine):
    coords = cloud(12, 25, span=3)
    layers = [
        (SubmanifoldConv(2, 3, 3, 3, bias=True), 1),
        (SubmanifoldConv(2, 3, 2, 3), 1),
        (StridedConv(2, 3, 3, 2, 3), 1),
        (StridedConv(2, 3, 2, 2, 3), 1),
        (TransposedConv(2, 3, 3, 2, 3), 2),
    ]
    for layer, stride in layers:
        layer.double()
        x = SparseTensor.from_points(coords, torch.zeros(len(coords), 2).double(), engine=engine)
        if stride == 2:
            coarse = x.maps.coarsen(x.stride, (2, 2, 2))
            x = SparseTensor(torch.zeros(len(x.maps.levels[coarse]), 2), x.maps, coarse)
        features = draw(13, len(x), 2)
        parameters = tuple(layer.parameters())

        def function(values, *_, layer=layer, x=x):
            return layer(x.with_features(values)).features

        assert torch.autograd.gradcheck(function, (features, *parameters))


def layers_with_gradients(coords, engine, channels, dtype):
    """Output and gradients of a small U with every kind of convolution, after ``channels`` inputs."""
    torch.manual_seed(16)
    features = draw(17, len(coords), channels[0], dtype=dtype)
    layers = torch.nn.Sequential(
        SubmanifoldConv(channels[0], channels[1], 3, 3),
        StridedConv(channels[1], channels[2], 2, 2, 3),
        SubmanifoldConv(channels[2], channels[2], 3, 3),
        TransposedConv(channels[2], channels[0], 2, 2, 3),
    ).to(dtype)
    out = layers(SparseTensor.from_points(coords, features, engine=engine)).features
    return [out, *torch.autograd.grad(out.square().sum(), (features, *layers.parameters()))]


@pytest.mark.parametrize("channels", [(1, 1, 1), (3, 16, 33), (5, 32, 48), (20, 64, 80), (7, 100, 160)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numba_engine_equals_the_torch_engine_at_every_block_size(channels, dtype):
    pytest.importorskip("numba")
    coords = cloud(18, 2600, span=9)  # several tiles of output rows, offsets with any number of pairs left over
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    results = (layers_with_gradients(coords, engine, channels, dtype) for engine in ("numba", "torch"))
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def test_threads_do_not_change_a_bit_of_the_numba_engine():
    pytest.importorskip("numba")
    coords = cloud(18, 2600, span=9)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(layers_with_gradients(coords, "numba", (2, 32, 48), torch.float32))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_the_numba_engine_refuses_what_it_cannot_compute():
    pytest.importorskip("numba")
    x = SparseTensor.from_points(coords := cloud(14, 20), torch.ones(len(coords), 4).bfloat16(), engine="numba")
    with pytest.raises(WeftError, match=r"numba engine computes float32 and float64 on the CPU, not torch\.bfloat16"):
        SubmanifoldConv(4, 4, 3, 3).bfloat16()(x)


def test_without_numba_its_engine_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "weft.sparse.compiled_loops", None)
    load_loops.cache_clear()
    x = SparseTensor.from_points(coords := cloud(14, 20), torch.ones(len(coords), 2), engine="numba")
    try:
        with pytest.raises(WeftError, match="the numba engine needs numba"):
            SubmanifoldConv(2, 2, 3, 3)(x)
    finally:
        load_loops.cache_clear()


def test_auto_is_numba_on_the_cpu_and_torch_elsewhere():
    coords = cloud(14, 20)
    assert SparseTensor.from_points(coords, torch.ones(len(coords), 2), engine="auto").maps.engine == "numba"
    assert engine_for("cuda") == "torch"


@pytest.mark.parametrize("dims", [2, 3])
def test_pointwise_is_a_linear_map_of_every_voxel(engine, dims):
    coords = cloud(19, 90, dims)
    features = draw(20, len(coords), 3)
    layer = Pointwise(3, 4).double()
    out = layer(SparseTensor.from_points(coords, features, engine=engine)).at_points()
    expected = features @ layer.module.weight.t()
    torch.testing.assert_close(out, expected)
    probe = torch.randn_like(out)
    for ours, theirs in zip(
        torch.autograd.grad((out * probe).sum(), (features, layer.module.weight)),
        torch.autograd.grad((expected * probe).sum(), (features, layer.module.weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_bfloat16_autocast_on_cpu():
    coords = cloud(14, 100)
    features = torch.randn(len(coords), 4, requires_grad=True)
    layers = torch.nn.Sequential(SubmanifoldConv(4, 8, 3, 3, bias=True), StridedConv(8, 8, 2, 2, 3))
    exact = layers(SparseTensor.from_points(coords, features)).features
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layers(SparseTensor.from_points(coords, features)).features
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert features.grad.dtype == torch.float32
    assert layers[0].weight.grad.isfinite().all()
    assert (out - exact).abs().max() < 0.05 * exact.abs().max()


def test_mistakes_are_one_line():
    x = SparseTensor.from_points(coords := cloud(15, 20), torch.ones(len(coords), 2), engine="cuda")
    with pytest.raises(WeftError, match="unknown sparse engine 'cuda': choose one of torch, numba, minkowski"):
        SubmanifoldConv(2, 2, 3, 3)(x)
    x = SparseTensor.from_points(coords, torch.ones(len(coords), 2))
    with pytest.raises(WeftError, match="do not fit"):
        SubmanifoldConv(3, 2, 3, 3)(x)
    kernel_map = x.maps.kernel_map(x.stride, x.stride, (3, 3, 3), (1, 1, 1))
    with pytest.raises(WeftError, match="8 offsets, the kernel 27"):
        convolve(x.features, torch.ones(8, 2, 2), kernel_map)
    with pytest.raises(WeftError, match="cannot be refined"):
        TransposedConv(2, 2, 2, 2, 3)(x)
    with pytest.raises(WeftError, match="positive integer"):
        SubmanifoldConv(2, 2, 0, 3)
