"""The U-ResNet: the seed configuration's size, shapes, and that it can learn."""

import subprocess
import sys

import pytest
import torch
from clouds import cloud
from torch import nn

from weft.errors import WeftError
from weft.sparse import PerVoxel, SegmentationHead, SparseTensor, Style, UResNet, cat
from weft.sparse.uresnet import ResidualBlock


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_the_seed_configuration_has_10_956_229_parameters():
    trunk, head = UResNet(1, filters=32, depth=5, reps=2), SegmentationHead(32, 5)
    assert parameters(trunk, head) == 10_956_229
    convolutions = [name for name, _ in trunk.named_parameters() if name.endswith("bias") and ".0.bias" not in name]
    assert not convolutions  # only normalisations have a bias


@pytest.mark.parametrize("dims", [2, 3])
def test_feature_maps_of_every_level(dims):
    coords = cloud(1, 300, dims, span=20)
    x = SparseTensor.from_points(coords, torch.randn(len(coords), 2))
    maps = UResNet(2, filters=4, depth=3, reps=1, input_kernel=5, dims=dims)(x)
    for level, (down, up) in enumerate(zip(maps.encoder, maps.decoder, strict=True)):
        assert down.stride == up.stride == (2**level,) * dims
        assert down.features.shape == up.features.shape == (len(x.maps.levels[down.stride]), 4 * (level + 1))
    assert maps.decoder[-1] is maps.encoder[-1]
    assert maps.final is maps.decoder[0]


def test_translation_by_the_coarsest_stride_changes_nothing():
    coords = cloud(2, 200, span=10)
    features = torch.randn(len(coords), 1)
    net = nn.Sequential(UResNet(1, 4, depth=3, reps=1).double().eval())
    one = net(SparseTensor.from_points(coords, features.double())).final.at_points()
    moved = coords + torch.tensor([0, 4, -8, 400], dtype=torch.int32)
    two = net(SparseTensor.from_points(moved, features.double())).final.at_points()
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("events", [0, 1, 3])
def test_empty_batches_and_events(events):
    coords = torch.tensor([[1, 0, 0, 0]] * (events > 1), dtype=torch.int32).reshape(-1, 4)
    x = SparseTensor.from_points(coords, torch.ones(len(coords), 1), batch_size=events)
    trunk, head = UResNet(1, 4, depth=3, reps=1), SegmentationHead(4, 5)
    out = head(trunk(x).final).at_points()
    assert out.shape == (len(coords), 5)
    out.sum().backward()
    assert all(p.grad.isfinite().all() for p in trunk.parameters())


@pytest.mark.parametrize("slope", [-0.1, 0.0, 0.33])
@pytest.mark.parametrize("engine", ["torch", "numba"])
@pytest.mark.parametrize("voxels", [3, 60, 1700])
def test_styles_normalise_then_activate_whatever_the_slope(slope, engine, voxels):
    coords = cloud(5, voxels, span=20)
    features = (torch.randn(len(coords), 3, dtype=torch.float64) + 50).requires_grad_()
    style, norm = Style(slope)(3).double(), nn.BatchNorm1d(3, eps=1e-4, momentum=0.01).double()
    with torch.no_grad():
        for each in (style[0], norm):
            each.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
            each.bias.copy_(torch.tensor([0.1, 0.0, -0.3]))
    out = style(SparseTensor.from_points(coords, features, engine=engine)).at_points()
    expected = norm(features)
    expected = torch.where(expected > 0, expected, slope * expected)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(style[0].running_mean, norm.running_mean)
    torch.testing.assert_close(style[0].running_var, norm.running_var)
    probe = torch.randn_like(out)
    ours = torch.autograd.grad((out * probe).sum(), (features, style[0].weight, style[0].bias))
    theirs = torch.autograd.grad((expected * probe).sum(), (features, norm.weight, norm.bias))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("engine", ["torch", "numba"])
@pytest.mark.parametrize("widths", [(3, 3), (3, 4)])
def test_a_residual_block_adds_its_shortcut_to_what_its_last_convolution_gives(engine, widths):
    coords, block = cloud(8, 30, events=1), ResidualBlock(*widths, Style(), 3).double()
    features = torch.randn(len(coords), 3, dtype=torch.float64, requires_grad=True)
    x = SparseTensor.from_points(coords, features, engine=engine)
    expected = block.residual(x).features + block.shortcut(x).features
    torch.testing.assert_close(block(x).features, expected)
    assert torch.equal(x.at_points(), features)  # only the convolution's own output is written over

    def run(values, *_):
        return block(SparseTensor.from_points(coords, values, engine=engine)).features

    assert torch.autograd.gradcheck(run, (features, *block.parameters()), fast_mode=True)


def test_a_sum_under_autocast_has_the_wider_type():
    coords = cloud(8, 30)
    x = SparseTensor.from_points(coords, torch.randn(len(coords), 3), engine="torch")
    with torch.autocast("cpu", torch.bfloat16):
        out = ResidualBlock(3, 3, Style(), 3)(x).features
    assert out.dtype == torch.float32


def test_it_overfits_one_small_batch():
    torch.manual_seed(0)
    coords = cloud(3, 150, span=6)
    features = torch.randn(len(coords), 1)
    labels = torch.randint(0, 3, (len(coords),))
    net = nn.ModuleList([UResNet(1, 8, depth=2, reps=1), SegmentationHead(8, 3)])
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        logits = net[1](net[0](SparseTensor.from_points(coords, features)).final).at_points()
        loss = nn.functional.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (logits.argmax(1) == labels).float().mean() > 0.98


def test_only_tensors_on_the_same_voxels_can_be_concatenated():
    coords = cloud(4, 20)
    x, y = (SparseTensor.from_points(coords, torch.full((len(coords), c), float(c))) for c in (1, 2))
    both = cat(x, PerVoxel(nn.Linear(1, 2))(x))
    assert both.features.shape == (len(coords), 3)
    assert torch.equal(both.features[:, :1], x.features)
    with pytest.raises(WeftError, match="same batch and stride"):
        cat(x, y)


def test_the_engine_needs_nothing_but_torch_and_numpy():
    code = (
        "import sys, weft.sparse; "
        "print(sorted({'numba', 'scipy', 'pandas', 'lightning', 'h5py', 'MinkowskiEngine'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
