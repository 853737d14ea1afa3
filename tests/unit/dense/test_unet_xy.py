"""unet_xy and unet_xy_zoom against the tables of the specification."""

import pytest
import torch
from torch import nn

from weft.dense.options import UNetXYOptions
from weft.dense.unet_xy import UNetXY

CHANNELS = torch.channels_last_3d


def network(**given):
    return UNetXY(UNetXYOptions(**given))


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"name": "unet_xy"}, 17_729_902),
        ({"name": "unet_xy_zoom", "zoom_ratio": 2}, 17_967_662),
        ({"name": "unet_xy_zoom", "zoom_ratio": 3}, 18_034_222),
        ({"name": "unet_xy_zoom"}, 18_034_222),
    ],
)
def test_parameter_counts(given, count):
    with torch.device("meta"):
        assert parameters(network(**given)) == count
        assert parameters(network(**given, padding="zero")) == count


def test_parameters_of_the_variants():
    with torch.device("meta"):
        plain = parameters(network())
        # 16 batch norms, with two numbers for each of their channels
        channels = sum(2 * m.num_features for m in network().modules() if isinstance(m, nn.BatchNorm3d))
        assert parameters(network(affine=True)) - plain == channels == 2 * (32 + 64 + 64 + 128 + 128 + 256 + 256 + 512
                                                                           + 2 * (256 + 128 + 64))  # fmt: skip
        strided = sum(4 * c * c + c for c in (64, 128, 256))
        assert parameters(network(downsampling="strided")) - plain == strided
        assert parameters(network(dilation=2, dropout=0.1)) == plain
        single = network(classes=(2,))
        auxiliary = parameters(network()) - parameters(single)
        assert auxiliary == (128 * 2 * 16 + 2 + 27 * 4 + 2 + 6) + (256 * 2 * 64 + 2 + 27 * 4 + 2 + 6)


def test_initialisation():
    torch.manual_seed(0)
    net = network(base_channels=8)
    convolution = net.bottom[0]
    assert convolution.bias.abs().max() == 0
    assert convolution.weight.std().item() == pytest.approx((2 / (64 * 27)) ** 0.5, rel=0.02)
    torch.manual_seed(0)
    transposed = nn.ConvTranspose3d(128, 128, (1, 2, 2), (1, 2, 2))
    bound = transposed.weight.abs().max().item()
    assert net.up3.weight.abs().max().item() == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize("zoom", [None, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "zero"])
def test_heads_have_the_size_of_the_output(zoom, padding):
    name = {"name": "unet_xy"} if zoom is None else {"name": "unet_xy_zoom", "zoom_ratio": zoom}
    net = network(**name, base_channels=1, padding=padding, classes=(4, 3, 2), channels=2)
    size = tuple(n + s for n, s in zip(net.size_law.smallest, net.size_law.step, strict=True))
    outputs = net(torch.randn(2, 2, *size))
    out = net.size_law.out_size(size)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "main": (2, 4, *out),
        "aux1": (2, 3, *out),
        "aux2": (2, 2, *out),
    }
    assert list(net.eval()(torch.randn(1, 2, *size))) == ["main"]


@pytest.mark.parametrize("given", [{"name": "unet_xy"}, {"name": "unet_xy_zoom", "zoom_ratio": 2},
                                   {"name": "unet_xy_stridedconv_dilated"}])  # fmt: skip
def test_an_input_moved_by_a_stride_moves_the_output(given):
    """Every crop is where it must be: one that is off by a voxel breaks this for some head."""
    torch.manual_seed(1)
    net = network(**given, base_channels=2)
    net.train()
    for module in net.modules():  # statistics of a batch would see the other border
        if isinstance(module, nn.BatchNorm3d):
            module.eval()
    law = net.size_law
    large = tuple(n + s for n, s in zip(law.smallest, law.step, strict=True))
    volume = torch.randn(1, 1, *large)
    with torch.no_grad():
        for axis in range(3):
            size = list(large)
            size[axis] = law.smallest[axis]
            first = net(volume[:, :, : size[0], : size[1], : size[2]])
            start = [0, 0, 0]
            start[axis] = law.step[axis]
            z, y, x = start
            second = net(volume[:, :, z : z + size[0], y : y + size[1], x : x + size[2]])
            whole = net(volume)
            for name, output in whole.items():
                shape = first[name].shape[2:]
                here = output[:, :, : shape[0], : shape[1], : shape[2]]
                there = output[:, :, z : z + shape[0], y : y + shape[1], x : x + shape[2]]
                assert torch.allclose(first[name], here, atol=1e-5), (axis, name)
                assert torch.allclose(second[name], there, atol=1e-5), (axis, name)


@pytest.mark.parametrize("given", [{"name": "unet_xy"}, {"name": "unet_xy_zoom", "zoom_ratio": 2}])
def test_heads_are_centred(given):
    """Mirroring kernels and input mirrors all outputs: nothing is cropped lopsidedly."""
    torch.manual_seed(2)
    net = network(**given, base_channels=2).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eval()
    volume = torch.randn(1, 1, *net.size_law.smallest, dtype=torch.float64)
    with torch.no_grad():
        straight = net(volume)
        for module in net.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                module.weight.copy_(module.weight.flip(2, 3, 4))
        mirrored = net(volume.flip(2, 3, 4))
    for name, output in straight.items():
        assert torch.allclose(output, mirrored[name].flip(2, 3, 4), atol=1e-10), name


def test_dropout_is_of_training_alone():
    net = network(base_channels=2, dropout=0.5).eval()
    volume = torch.randn(1, 1, *net.size_law.smallest)
    assert torch.equal(net(volume)["main"], net(volume)["main"])
    for module in net.modules():
        if isinstance(module, nn.Dropout3d):
            module.train()
    assert not torch.equal(net(volume)["main"], net(volume)["main"])


@pytest.mark.parametrize("given", [{"name": "unet_xy_0pad"}, {"name": "unet_xy_zoom_0pad", "zoom_ratio": 2}])
def test_the_order_in_memory_is_kept_and_changes_no_result(given, monkeypatch):
    """Layers that fell back to the order of planes would make a step as slow as before, and say nothing."""
    torch.manual_seed(3)
    net = network(**given, base_channels=2, affine=True)
    volume = torch.randn(2, 1, 6, 64, 64)
    orders = {}

    def look(name):
        return lambda module, given, output: orders.__setitem__(name, output.is_contiguous(memory_format=CHANNELS))

    hooks = [module.register_forward_hook(look(name)) for name, module in net.named_modules()
             if isinstance(module, nn.Conv3d | nn.ConvTranspose3d | nn.MaxPool3d | nn.BatchNorm3d)
             and not name.startswith(("zoom", "head", "auxiliary"))]  # fmt: skip
    outputs = net(volume)
    sum(output.square().mean() for output in outputs.values()).backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert len(orders) > 30
    assert all(orders.values()), [name for name, kept in orders.items() if not kept]
    for hook in hooks:
        hook.remove()
    monkeypatch.setattr("weft.dense.unet_xy.as_quickest", lambda volume: volume)
    net.zero_grad()
    planes = net(volume)
    sum(output.square().mean() for output in planes.values()).backward()
    for name, output in outputs.items():
        assert torch.allclose(output, planes[name], atol=1e-3), name
    assert all(gradient.is_contiguous() for gradient in gradients)
    one, other = (torch.cat([g.flatten() for g in gs]) for gs in (gradients, [p.grad for p in net.parameters()]))
    assert (one - other).norm() < 1e-3 * other.norm()


@pytest.mark.parametrize("batch", [1, 2])
def test_one_plane_in_bf16_is_what_it_is_in_float32(batch: int) -> None:
    torch.manual_seed(0)
    net, volume = network(name="unet_xy_0pad", base_channels=4).eval(), torch.randn(batch, 1, 1, 64, 64)
    with torch.no_grad():
        exact = net(volume)["main"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(volume)["main"].float()
    assert (rough - exact).norm() < 0.1 * exact.norm()
