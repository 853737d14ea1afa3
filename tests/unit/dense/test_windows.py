"""Sliding windows: any size of volume, no seams, bounded memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from weft.dense.folding import folded
from weft.dense.options import UNetXYOptions
from weft.dense.size_law import AxisLaw, SizeLaw
from weft.dense.unet_xy import UNetXY
from weft.dense.views import IDENTITY, View, views
from weft.dense.windows import plan_windows, sliding_windows
from weft.errors import WeftError

ANY = AxisLaw(1)
PADDED = SizeLaw(ANY, ANY, ANY)
#: Eats a border of 2 along z and of 3 along y and x; y and x in steps of 4.
VALID = SizeLaw(AxisLaw(5, 1, 4), AxisLaw(8, 4, 6), AxisLaw(8, 4, 6))


def whole(slabs):
    """Slabs put together; they must follow each other."""
    found = list(slabs)
    stops = [z + slab.shape[1] for z, slab in found]
    assert [z for z, _ in found] == [0, *stops[:-1]]
    return np.concatenate([slab for _, slab in found], 1)


def middle(x, like=(2, 3, 3)):
    z, y, x_ = like
    return x[:, :, z:-z, y:-y, x_:-x_]


class BoxMean(nn.Module):
    """The mean over 5 x 7 x 7 voxels, without padding: its margin is that of VALID."""

    def forward(self, x):
        return {"main": functional.avg_pool3d(x, (5, 7, 7), 1)}


def volume(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


SHAPES = [(1, 1, 1), (1, 30, 9), (3, 5, 40), (9, 17, 23), (20, 9, 8), (6, 6, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("law", "size_in"), [(PADDED, (4, 9, 7)), (VALID, (9, 16, 20))])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
def test_a_network_that_gives_its_input_gives_the_volume_and_a_constant_one_its_constant(shape, law, size_in, overlap):
    given = volume(2, *shape)

    def network(x):
        return x if law is PADDED else middle(x)

    for weight in ("gaussian", "constant"):
        options = {"overlap": overlap, "weight": weight, "activation": "none", "batch_size": 3}
        found = whole(sliding_windows(network, given, law, size_in, **options))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, given, atol=3e-6)
        level = whole(sliding_windows(lambda x: network(x) * 0 + 0.3, given, law, size_in, **options))
        np.testing.assert_allclose(level, np.float32(0.3), rtol=3e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_there_are_no_seams_at_all_where_windows_see_enough(shape):
    """Rows and columns mirrored, planes repeated: what scipy's filter gives of the whole volume."""
    given = volume(*shape)
    mirrored = np.pad(given, ((0, 0), (3, 3), (3, 3)), "reflect")
    expected = ndimage.uniform_filter(mirrored, (5, 7, 7), mode="nearest")[:, 3:-3, 3:-3]
    found = whole(sliding_windows(BoxMean().eval(), given, VALID, (8, 16, 12), activation="none"))
    np.testing.assert_allclose(found[0], expected, atol=5e-6)


def test_seams_of_a_network_that_sees_less_than_it_needs_are_blended():
    """At the border of each window the output is wrong by 1: with overlap the step between voxels stays small."""

    def network(x):
        ramp = torch.linspace(-1, 1, x.shape[-1])
        return x * 0 + ramp

    given = volume(4, 8, 100)
    steps = {}
    for overlap in (0.0, 0.5):
        found = whole(sliding_windows(network, given, PADDED, (4, 8, 20), overlap=overlap, activation="none"))
        steps[overlap] = np.abs(np.diff(found[0], axis=2)).max()
    assert steps[0.0] > 1.9
    assert steps[0.5] < 0.3


def test_the_result_does_not_depend_on_batches_slabs_or_where_the_layer_lies(tmp_path):
    given = volume(2, 11, 30, 21)
    torch.manual_seed(1)
    network = nn.Conv3d(2, 3, 3, padding=1).eval()
    expected = whole(sliding_windows(network, given, PADDED, (5, 12, 12)))
    in_files = sliding_windows(network, given, PADDED, (5, 12, 12), batch_size=4, memory_mib=1e-3, folder=tmp_path)
    found = list(in_files)
    assert all(slab.shape[1] == 1 for _, slab in found), "slabs keep to the memory, at least a plane each"
    np.testing.assert_allclose(whole(found), expected, atol=1e-6)
    np.testing.assert_allclose(expected.sum(0), 1, atol=1e-6)
    assert list(tmp_path.iterdir()) == []


class Counting:
    """A volume that counts how often each plane is read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.reads = np.zeros(values.shape[1], int)

    def __getitem__(self, key):
        self.reads[key[1]] += 1
        return self.values[key]


def test_each_plane_is_read_once():
    given = Counting(volume(1, 40, 20, 20))
    whole(sliding_windows(lambda x: middle(x), given, VALID, (9, 16, 16), activation="none"))
    assert given.reads[1:-1].tolist() == [1] * 38
    assert given.reads.max() <= 2


def test_memory_does_not_grow_with_the_number_of_planes():
    class Endless:
        dtype = np.dtype("f4")

        def __init__(self, planes):
            self.shape = (1, planes, 64, 64)

        def __getitem__(self, key):
            return np.zeros((1, len(range(*key[1].indices(self.shape[1]))), 64, 64), np.float32)

    def peak(planes):
        tracemalloc.start()
        for _ in sliding_windows(lambda x: x, Endless(planes), PADDED, (8, 64, 64), activation="none"):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(16)
    assert peak(2000) < 1.2 * peak(900) < 60e6


@pytest.mark.parametrize("padding", ["valid", "zero"])
def test_u_nets_on_volumes_smaller_and_larger_than_a_patch(padding):
    torch.manual_seed(0)
    network = UNetXY(UNetXYOptions(base_channels=2, padding=padding)).eval()
    size_in = (32, 100, 92) if padding == "valid" else (8, 24, 32)
    for shape in [(1, 1, 1), (2, 3, 20)]:
        found = whole(sliding_windows(network, volume(*shape), network.size_law, size_in))
        assert found.shape == (2, *shape)
        np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)


def test_a_small_volume_gets_a_small_window():
    law = SizeLaw(AxisLaw(29, 1, 28), AxisLaw(92, 8, 88), AxisLaw(92, 8, 88), "unet_xy")
    plan = plan_windows((3, 20, 500), law, (88, 180, 180))
    assert (plan.size_in, plan.size_out, len(plan)) == ((31, 108, 180), (3, 20, 92), 10)


def test_one_valid_window_is_the_network_itself():
    """Where windows start at multiples of the stride, blending changes nothing: all windows see the same."""
    torch.manual_seed(3)
    network = UNetXY(UNetXYOptions(base_channels=2)).eval()
    given = volume(2, 20, 20)
    one = whole(sliding_windows(network, given, network.size_law, (30, 108, 108)))
    padded = np.pad(np.pad(given, ((14, 14), (0, 0), (0, 0)), "edge"), ((0, 0), (44, 44), (44, 44)), "reflect")
    with torch.inference_mode():
        expected = network(torch.from_numpy(padded)[None, None])["main"].softmax(1)[0].numpy()
    np.testing.assert_allclose(one, expected, atol=1e-6)


def test_views_are_undone_and_each_symmetry_is_there_once():
    given = torch.arange(2 * 3 * 4 * 5.0).reshape(1, 2, 3, 4, 5)
    for name, count in (("none", 1), ("flips", 8), ("flips_rot90", 16)):
        shown = [view.of(given) for view in views(name)]
        assert len({(tuple(v.shape), tuple(v.flatten().tolist())) for v in shown}) == count
        for view, seen in zip(views(name), shown, strict=True):
            assert torch.equal(view.back(seen), given)
            assert view.size((3, 4, 5)) == tuple(seen.shape[2:])
        assert views(name)[0] == IDENTITY


@pytest.mark.parametrize("name", ["flips", "flips_rot90"])
def test_augmentation_leaves_a_symmetric_network_as_it_is(name):
    given = volume(7, 19, 12)
    alone = whole(sliding_windows(BoxMean().eval(), given, VALID, (8, 12, 16), activation="none"))
    found = whole(sliding_windows(BoxMean().eval(), given, VALID, (8, 12, 16), activation="none", views=views(name)))
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_the_mean_over_views_is_of_probabilities_or_of_logits():
    """A network that shifts along x: the mean with its mirror image, by hand."""

    def network(x):
        moved = torch.roll(x, 1, -1)
        return torch.cat([moved * 4, -moved], 1)

    given = volume(1, 2, 6)
    right, left = np.roll(given, 1, 2), np.roll(given, -1, 2)
    both = (IDENTITY, View(flip_x=True))

    def found(mean):
        return whole(sliding_windows(network, given, PADDED, (1, 2, 6), views=both, mean=mean))[0]

    def first(x):
        return 1 / (1 + np.exp(-5 * x))

    np.testing.assert_allclose(found("probabilities"), (first(right) + first(left)) / 2, atol=1e-6)
    np.testing.assert_allclose(found("logits"), first((right + left) / 2), atol=1e-6)


def test_sigmoid_and_16_bits():
    given = volume(3, 8, 8)
    network = nn.Conv3d(1, 1, 1).eval()
    exact = whole(sliding_windows(network, given, PADDED, (3, 8, 8), activation="sigmoid"))
    with torch.autocast("cpu", torch.bfloat16):
        short = whole(sliding_windows(network, given, PADDED, (3, 8, 8), activation="sigmoid"))
    logits = whole(sliding_windows(network, given, PADDED, (3, 8, 8), activation="none"))
    np.testing.assert_allclose(exact, 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert short.dtype == np.float32
    assert 0 < np.abs(short - exact).max() < 0.01


def test_sizes_that_do_not_fit_are_refused_with_the_next_legal_ones():
    network = UNetXY(UNetXYOptions(base_channels=2)).eval()
    with pytest.raises(WeftError, match=r"\[44, 140, 140\] gives \[16, 52, 52\], \[44, 148, 140\]"):
        sliding_windows(network, volume(40, 200, 200), network.size_law, (44, 144, 140))
    with pytest.raises(WeftError, match="at least one voxel"):
        sliding_windows(network, volume(0, 5, 5), network.size_law, (44, 140, 140))
    with pytest.raises(WeftError, match="overlap"):
        sliding_windows(network, volume(4, 5, 5), network.size_law, (44, 140, 140), overlap=1)
    with pytest.raises(WeftError, match=r"eval\(\)"):
        sliding_windows(network.train(), volume(4, 5, 5), network.size_law, (44, 140, 140))
    with pytest.raises(WeftError, match="size law says"):
        whole(sliding_windows(lambda x: x, volume(4, 5, 5), VALID, (9, 16, 16)))


@pytest.mark.parametrize("options", [{}, {"affine": True, "padding": "zero"}, {"name": "unet_xy_zoom_dropout"}])
def test_a_folded_network_gives_the_same(options):
    torch.manual_seed(2)
    network = UNetXY(UNetXYOptions(base_channels=2, **options))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    size = network.size_law.smallest
    given = torch.rand(1, 1, *size)
    quick = folded(network)
    assert network.training
    assert not any(isinstance(module, nn.BatchNorm3d) for module in quick.modules())
    with torch.inference_mode():
        expected = network.eval()(given)["main"]
        torch.testing.assert_close(quick(given)["main"], expected, atol=1e-4, rtol=1e-4)
    assert any(isinstance(module, nn.BatchNorm3d) for module in network.modules()), "the network itself stays"


def test_folding_leaves_a_norm_that_does_not_follow_a_convolution():
    torch.manual_seed(2)
    network = nn.Sequential(nn.BatchNorm3d(2), nn.Conv3d(2, 2, 1), nn.ReLU(), nn.BatchNorm3d(2)).eval()
    network[3].running_mean.fill_(0.3)
    given = torch.rand(1, 2, 3, 3, 3)
    with torch.inference_mode():
        torch.testing.assert_close(folded(network)(given), network(given))
    assert sum(isinstance(module, nn.BatchNorm3d) for module in folded(network)) == 2


@pytest.mark.parametrize("shape", [(11, 30, 24), (5, 12, 12), (9, 18, 36)])
def test_windows_that_fit_evenly_give_what_monais_sliding_window_gives(shape):
    """With a constant weight; MONAI's Gaussian has a floor of 1/1000, which counts most where windows meet."""
    inferers = pytest.importorskip("monai.inferers")
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.Softmax(1)).eval()
    given, size = volume(*shape), (5, 12, 12)
    found = whole(sliding_windows(network, given, PADDED, size, weight="constant", activation="none"))
    with torch.inference_mode():
        theirs = inferers.sliding_window_inference(torch.from_numpy(given)[None, None], size, 1, network, 0.5)
    np.testing.assert_allclose(found, theirs[0].numpy(), atol=1e-6)
