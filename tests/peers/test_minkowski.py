"""The other engines against MinkowskiEngine 0.5.4 (`make minkowski`): same weights, same results."""

import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from weft.errors import WeftError
from weft.sparse import (
    Pool,
    SegmentationHead,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
    UResNet,
)
from weft.sparse.minkowski import load_minkowski

warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
try:
    ME = load_minkowski()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.peer
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def cloud(seed, points, dims, span=6):
    generator = torch.Generator().manual_seed(seed)
    coords = torch.randint(-span, span, (points, 1 + dims), generator=generator)
    coords[:, 0] = torch.randint(0, 3, (points,), generator=generator)
    return torch.unique(coords, dim=0).int()


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= TOLERANCE[a.dtype] * b.abs().max(), (a - b).abs().max() / b.abs().max()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    points=st.integers(1, 300),
    dims=st.sampled_from([2, 3]),
    kernel=st.integers(1, 5),
    stride=st.integers(2, 4),
    dilation=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    kind=st.sampled_from(["submanifold", "strided", "transposed"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_engines_agree_on_outputs_and_gradients(seed, points, dims, kernel, stride, dilation, channels, kind, dtype):
    torch.manual_seed(seed)
    n_in, n_out = channels
    coords = cloud(seed, points, dims)
    if kind == "submanifold":
        layer = SubmanifoldConv(n_in, n_out, kernel, dims, dilation)
    else:
        layer = {"strided": StridedConv, "transposed": TransposedConv}[kind](n_in, n_out, kernel, stride, dims)
    layer.to(dtype)
    results = []
    for engine in ("torch", "numba", "minkowski"):
        torch.manual_seed(seed)
        x = SparseTensor.from_points(coords, torch.zeros(len(coords), 1), engine=engine)
        if kind == "transposed":
            coarse = x.maps.coarsen(x.stride, (stride,) * dims)
            x = SparseTensor(torch.zeros(len(x.maps.levels[coarse]), 1), x.maps, coarse)
        features = torch.randn(len(x), n_in, dtype=dtype, requires_grad=True)
        out = layer(x.with_features(features)).features
        results.append([out, *torch.autograd.grad((out * torch.randn_like(out)).sum(), (features, layer.weight))])
    if not any(r.any() for r in results[0]):  # an even kernel may touch nothing: exact zeros on both sides
        assert not any(r.any() for result in results for r in result)
        return
    assert_close(results[0], results[2])
    assert_close(results[1], results[2])


@pytest.mark.parametrize(("reduction", "theirs"), [("max", "MinkowskiMaxPooling"), ("mean", "MinkowskiAvgPooling")])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 3)])
def test_pooling(reduction, theirs, kernel, stride):
    coords = cloud(1, 200, 3)
    features = torch.randn(len(coords), 4)
    ours = Pool(reduction, stride, 3, kernel)(SparseTensor.from_points(coords, features))
    peer = getattr(ME, theirs)(kernel_size=kernel, stride=stride, dimension=3)(ME.SparseTensor(features, coords))
    rows = {tuple(c): f for c, f in zip(peer.C.tolist(), peer.F, strict=True)}
    expected = torch.stack([rows[tuple(c)] for c in ours.coords.tolist()])
    assert_close([ours.features], [expected])


class PeerBlock(nn.Module):
    """A residual block written with MinkowskiEngine's own layers."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.shortcut = nn.Identity() if n_in == n_out else ME.MinkowskiLinear(n_in, n_out, bias=False)
        self.residual = nn.Sequential(
            *peer_style(n_in), peer_conv(n_in, n_out), *peer_style(n_out), peer_conv(n_out, n_out)
        )

    def forward(self, x):
        return self.residual(x) + self.shortcut(x)


def peer_style(channels):
    return ME.MinkowskiBatchNorm(channels, eps=1e-4, momentum=0.01), ME.MinkowskiLeakyReLU(0.33)


def peer_conv(n_in, n_out):
    return ME.MinkowskiConvolution(n_in, n_out, kernel_size=3, stride=1, bias=False, dimension=3)


class PeerUResNet(nn.Module):
    """Our U-ResNet and head, layer by layer in the same order, with MinkowskiEngine's own modules."""

    def __init__(self, filters, depth, reps, classes):
        super().__init__()
        widths = [filters * (level + 1) for level in range(depth)]
        blocks = lambda n_in, n_out: nn.Sequential(  # noqa: E731
            *(PeerBlock(n_in if i == 0 else n_out, n_out) for i in range(reps))
        )
        self.stem = peer_conv(1, filters)
        self.encoder = nn.ModuleList(blocks(w, w) for w in widths)
        self.down, self.up, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for a, b in pairwise(widths):
            options = {"kernel_size": 2, "stride": 2, "bias": False, "dimension": 3}
            self.down.append(nn.Sequential(*peer_style(a), ME.MinkowskiConvolution(a, b, **options)))
            self.up.append(nn.Sequential(*peer_style(b), ME.MinkowskiConvolutionTranspose(b, a, **options)))
            self.decoder.append(blocks(2 * a, a))
        self.head = nn.Sequential(*peer_style(filters), ME.MinkowskiLinear(filters, classes))

    def forward(self, x):
        x = self.encoder[0](self.stem(x))
        skips = [x]
        for level, down in enumerate(self.down):
            x = self.encoder[level + 1](down(x))
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](ME.cat(skips[level], self.up[level](x)))
        return self.head(x)


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_the_whole_network_gives_the_same_with_carried_over_weights(engine):
    torch.manual_seed(0)
    coords = cloud(2, 600, 3, span=10)
    features = torch.randn(len(coords), 1, dtype=torch.float64)
    peer = PeerUResNet(4, 3, 2, 5).double()
    trunk, head = UResNet(1, 4, depth=3, reps=2).double(), SegmentationHead(4, 5).double()
    ours = [*trunk.parameters(), *head.parameters()]
    by_role = lambda module: {  # noqa: E731 — module names differ, their order of creation does not
        part: [p for name, p in module.named_parameters() if name.startswith(part)]
        for part in ("stem", "encoder", "down", "up", "decoder")
    }
    with torch.no_grad():
        for part, tensors in by_role(trunk).items():
            for mine, theirs in zip(tensors, by_role(peer)[part], strict=True):
                mine.copy_(theirs.reshape(mine.shape))
        for mine, theirs in zip(head.parameters(), peer.head.parameters(), strict=True):
            mine.copy_(theirs)
    out = head(trunk(SparseTensor.from_points(coords, features, engine=engine)).final).at_points()
    x = ME.SparseTensor(features, coords)
    expected = peer(x).F
    probe = torch.randn_like(out)
    gradients = torch.autograd.grad((out * probe).sum(), ours)
    order = [p for tensors in by_role(peer).values() for p in tensors] + list(peer.head.parameters())
    peers = torch.autograd.grad((expected * probe).sum(), order)
    mine_in_order = [p for tensors in by_role(trunk).values() for p in tensors] + list(head.parameters())
    lookup = {id(p): g for p, g in zip(ours, gradients, strict=True)}
    worst = max(
        ((lookup[id(p)].flatten() - g.flatten()).abs().max() / g.abs().max()).item()
        for p, g in zip(mine_in_order, peers, strict=True)
    )
    assert (out - expected).abs().max() <= 1e-12 * expected.abs().max()
    assert worst <= 1e-10  # through 40 layers of normalisation
