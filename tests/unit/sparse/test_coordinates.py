"""Packed keys, voxel sets and tensors from points."""

import pytest
import torch
from clouds import cloud, draw
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import WeftError
from weft.sparse import SparseTensor
from weft.sparse.compiled import match_compiled
from weft.sparse.coordinates import Packing, VoxelSet
from weft.sparse.kernel_map import KernelMap, kernel_offsets

near = st.lists(st.tuples(st.integers(0, 2), *[st.integers(-6, 6)] * 3), max_size=60)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), *[st.integers(-100_000, 100_000)] * 3), min_size=1, max_size=30))
def test_keys_round_trip_and_keep_the_order(points):
    coords = torch.tensor(points, dtype=torch.int32)
    packing = Packing.around(coords)
    keys = packing.pack(coords)
    assert torch.equal(packing.unpack(keys), coords)
    by_key = [points[i] for i in torch.argsort(keys, stable=True)]
    assert by_key == sorted(points)


def test_63_bits_are_enough_and_64_are_an_error():
    corner = [[0, -(2**20), 0, 0], [0, 2**20 - 1, 2**21 - 1, 2**21 - 1]]  # 2^21 · 2^21 · 2^21 = 2^63
    coords = torch.tensor(corner, dtype=torch.int64)
    packing = Packing.around(coords)
    assert packing.pack(coords).tolist() == [0, 2**63 - 1]
    assert torch.equal(packing.unpack(packing.pack(coords)), coords.int())
    beyond = coords.clone()
    beyond[1, 3] += 1
    with pytest.raises(WeftError, match="2097152 x 2097152 x 2097153 x 1 events need more than 63 bits"):
        Packing.around(beyond)
    second_event = coords.clone()
    second_event[1, 0] = 1
    with pytest.raises(WeftError, match="x 2 events need more than 63 bits"):
        SparseTensor.from_points(second_event, torch.ones(2, 1))


@pytest.fixture(params=["torch", "numba"], scope="module")
def match(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return {"torch": VoxelSet.match, "numba": match_compiled}[request.param]


def test_neighbours_are_found_at_the_edge_of_63_bits(match):
    low, high = -(2**20), 2**20 - 1
    coords = torch.tensor([[0, low, 0, 0], [0, high, 2**21 - 1, 2**21 - 1], [0, high, 2**21 - 1, 2**21 - 2]])
    voxels, _ = VoxelSet.from_points(coords)
    pairs = KernelMap(voxels, voxels, (3, 3, 3), (1, 1, 1), match=match).pairs
    assert len(pairs) == 3 + 2  # every voxel with itself, and the last two with each other


@settings(deadline=None, max_examples=30)
@given(near, st.sampled_from([(3, 3, 3), (2, 2, 2), (5, 1, 3), (2, 3, 4)]), st.sampled_from([1, 2]))
def test_kernel_maps_equal_a_search_of_all_pairs(match, points, kernel, dilation):
    coords = torch.tensor(points, dtype=torch.int32).reshape(-1, 4)
    voxels, _ = VoxelSet.from_points(coords)
    pairs = KernelMap(voxels, voxels, kernel, (dilation,) * 3, match=match).pairs
    index = {tuple(voxel): i for i, voxel in enumerate(voxels.coords.tolist())}
    expected = []
    for k, (dx, dy, dz) in enumerate(kernel_offsets(kernel, (dilation,) * 3)):
        for (b, x, y, z), out in index.items():
            source = index.get((b, x + dx, y + dy, z + dz))
            if source is not None:
                expected.append((k, source, out))
    found = [
        (k, int(i), int(o))
        for k, (ins, outs) in enumerate(zip(pairs.in_blocks, pairs.out_blocks, strict=True))
        for i, o in zip(ins, outs, strict=True)
    ]
    assert sorted(found) == sorted(expected)
    if pairs.centre is not None:
        assert torch.equal(pairs.in_blocks[pairs.centre], torch.arange(len(voxels)).int())


def test_kernel_offsets_run_over_x_first_and_even_kernels_start_at_the_voxel():
    assert kernel_offsets((3, 2), (1, 2)) == [(-1, 0), (0, 0), (1, 0), (-1, 2), (0, 2), (1, 2)]


def test_pairs_by_output_list_every_pair_once():
    voxels, _ = VoxelSet.from_points(cloud(1, 80))
    coarse, parents = voxels.coarsened((2, 2, 2))
    for pairs in (
        KernelMap(voxels, voxels, (3, 3, 3), (1, 1, 1)).pairs,
        KernelMap(voxels, coarse, (2, 2, 2), (1, 1, 1), parents).pairs.swapped,
    ):
        order, boundaries = pairs.by_output
        assert sorted(order.tolist()) == list(range(len(pairs)))
        for row in range(pairs.n_out):
            assert set(pairs.out_rows[order[boundaries[row] : boundaries[row + 1]]].tolist()) <= {row}


def test_pairs_ascend_on_both_sides_within_every_offset():
    voxels, _ = VoxelSet.from_points(cloud(1, 80))
    coarse, parents = voxels.coarsened((2, 2, 2))
    ones = (1, 1, 1)
    for pairs in (
        KernelMap(voxels, voxels, (3, 3, 3), ones).pairs,
        KernelMap(voxels, voxels, (2, 2, 2), ones).pairs,
        KernelMap(voxels, coarse, (2, 2, 2), ones, parents).pairs,
        KernelMap(voxels, coarse, (3, 3, 3), ones, parents).pairs,
    ):
        for rows in (*pairs.in_blocks, *pairs.out_blocks):
            assert (rows.diff() > 0).all()


def test_partition_pairs_equal_searched_ones():
    voxels, _ = VoxelSet.from_points(cloud(2, 80))
    coarse, parents = voxels.coarsened((2, 2, 2))
    quick = KernelMap(voxels, coarse, (2, 2, 2), (1, 1, 1), parents).pairs
    searched = KernelMap(voxels, coarse, (2, 2, 2), (1, 1, 1)).pairs
    assert quick.counts == searched.counts
    for k in range(8):
        one, other = ({*zip(p.in_blocks[k].tolist(), p.out_blocks[k].tolist(), strict=True)} for p in (quick, searched))
        assert one == other


def test_duplicate_points_are_summed_and_get_their_voxels_result_back():
    coords = torch.tensor([[0, 5, -1, 2], [0, 0, 0, 0], [0, 5, -1, 2], [1, 5, -1, 2]])
    features = torch.tensor([[1.0], [2.0], [10.0], [100.0]], requires_grad=True)
    x = SparseTensor.from_points(coords, features)
    assert x.coords.tolist() == [[0, 0, 0, 0], [0, 5, -1, 2], [1, 5, -1, 2]]
    assert x.features.flatten().tolist() == [2, 11, 100]
    assert x.at_points().flatten().tolist() == [11, 2, 11, 100]
    (x.features * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    assert features.grad.flatten().tolist() == [2, 1, 2, 3]


def test_distinct_points_keep_their_rows():
    coords = cloud(3, 60)
    features = draw(4, len(coords), 2)
    assert torch.equal(SparseTensor.from_points(coords, features).at_points(), features)


def test_mistakes_are_one_line():
    coords = cloud(5, 10)
    ones = torch.ones(len(coords), 1)
    with pytest.raises(WeftError, match=r"expected integer coordinates .* got float32"):
        SparseTensor.from_points(coords.float(), ones)
    with pytest.raises(WeftError, match="expected features"):
        SparseTensor.from_points(coords, ones[1:])
    with pytest.raises(WeftError, match="do not fit a batch of 1 events"):
        SparseTensor.from_points(coords, ones, batch_size=1)
    x = SparseTensor.from_points(coords, ones)
    with pytest.raises(WeftError, match=r"no voxels of stride \(2, 2, 2\)"):
        x.maps.kernel_map((2, 2, 2), (2, 2, 2), (3, 3, 3), (1, 1, 1))
    coarse = x.maps.coarsen(x.stride, (2, 2, 2))
    with pytest.raises(WeftError, match="points live on the grid of stride 1"):
        SparseTensor(torch.ones(len(x.maps.levels[coarse]), 1), x.maps, coarse).at_points()
