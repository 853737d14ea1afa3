"""Size laws: arithmetic, errors that say the next legal size, and equality with what networks really do."""

import itertools

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from weft.dense.build import build_network
from weft.dense.laws import law_of, unet_xy_law
from weft.dense.options import NetworkOptions
from weft.dense.size_law import AxisLaw, SizeLaw
from weft.errors import WeftError

OPTIONS = TypeAdapter(NetworkOptions)


def network(**given):
    return build_network(OPTIONS.validate_python({"base_channels": 1} | given))


def law(**given):
    return law_of(OPTIONS.validate_python(given))


@pytest.mark.parametrize(
    ("zoom", "size_in", "size_out"),
    [
        (None, (44, 140, 140), (16, 52, 52)),
        (None, (48, 148, 148), (20, 60, 60)),
        (None, (50, 156, 156), (22, 68, 68)),
        (None, (88, 180, 180), (60, 92, 92)),
        (3, (52, 372, 372), (20, 104, 104)),
        (3, (52, 420, 420), (20, 152, 152)),
        (3, (62, 420, 420), (30, 152, 152)),
    ],
)
def test_the_pairs_of_the_specification(zoom, size_in, size_out):
    law = unet_xy_law(zoom)
    assert law.out_size(size_in) == size_out
    assert law.in_size(size_out) == size_in
    assert law.pair(None, size_out) == law.pair(size_in, None) == law.pair(size_in, size_out) == (size_in, size_out)


@pytest.mark.parametrize("k", range(1, 7))
def test_formulas_of_the_specification(k):
    for p in range(4, 60):
        _formulas(k, p)


def _formulas(k, p):
    assert unet_xy_law(None).out_size((29, 8 * p + 60, 8 * p + 60)) == (1, 8 * p - 28, 8 * p - 28)
    if k > 1 or p > 4:
        size = k * (8 * p + 60)
        assert unet_xy_law(k).out_size((40, size, size)) == (8, 8 * k * p - 28 * k - 4, 8 * k * p - 28 * k - 4)


def plane_sizes(law, p):
    return law.smallest[1] + p * law.step[1]


@pytest.mark.parametrize("zoom", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_valid_networks_do_what_their_law_says(zoom, dilation):
    name = {"name": "unet_xy"} if zoom is None else {"name": "unet_xy_zoom", "zoom_ratio": zoom}
    net = network(**name, dilation=dilation).eval()
    law = net.size_law
    for p, z in itertools.product((0, 1, 2), (0, 3)):
        size = (law.smallest[0] + z, plane_sizes(law, p), plane_sizes(law, 2 - p))
        with torch.no_grad():
            got = net(torch.zeros(1, 1, *size))["main"]
        assert tuple(got.shape) == (1, 2, *law.out_size(size))
    smaller = list(law.smallest)
    for axis in range(3):
        less = smaller.copy()
        less[axis] -= law.step[axis]
        assert not law.legal(less)


@pytest.mark.parametrize("size", [(29, 92 + d, 92) for d in range(1, 8)] + [(28, 92, 92), (29, 84, 92)])
def test_other_sizes_would_fail_in_the_network(size):
    net = network(name="unet_xy").eval()
    assert not net.size_law.legal(size)
    with pytest.raises(WeftError, match="the nearest legal: "):
        net(torch.zeros(1, 1, *size))
    # What the law refuses either cannot be computed or is not what the law's arithmetic would promise.
    net.size_law = SizeLaw(*(AxisLaw(1) for _ in range(3)))
    try:
        got = tuple(net(torch.zeros(1, 1, *size))["main"].shape[2:])
    except RuntimeError:
        return
    assert got != (size[0] - 28, size[1] - 88, size[2] - 88)


PADDED = [
    {"name": "unet_xy_0pad"},
    {"name": "unet_xy_zoom_0pad", "zoom_ratio": 2},
    {"name": "unet_xy_zoom_0pad_stridedconv_dilated", "zoom_ratio": 3},
    {"name": "residual_unet", "spacing": (0.3, 0.1, 0.1), "patch": (16, 32, 32), "base_channels": 4},
]


@pytest.mark.parametrize("given", PADDED)
def test_padded_networks_keep_the_size(given):
    net = network(**given)
    law = net.size_law
    assert law.padded
    assert law.margin == (0, 0, 0)
    for size in (law.smallest, tuple(a + b for a, b in zip(law.smallest, law.step, strict=True))):
        outputs = net(torch.randn(1, 1, *size))  # in training: with its auxiliary heads
        assert {name: tuple(out.shape[2:]) for name, out in outputs.items()} == dict.fromkeys(outputs, size)
        assert len(outputs) == 3


MONAI = [
    {"name": "BasicUNet", "arguments": {"features": [2, 2, 4, 4, 8, 2]}},
    {"name": "UNet", "arguments": {"channels": [2, 4, 8], "strides": [[1, 2, 2], 2]}},
    {
        "name": "DynUNet",
        "classes": (2, 2),
        "arguments": {
            "filters": [2, 4, 8],
            "kernel_size": [3, 3, 3],
            "strides": [1, [1, 2, 2], 2],
            "upsample_kernel_size": [[1, 2, 2], 2],
            "deep_supervision": True,
        },
    },
    {"name": "VNet"},
    {"name": "SegResNet", "arguments": {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]}},
    {
        "name": "SegResNetVAE",
        "arguments": {
            "init_filters": 8,
            "blocks_down": [1, 1, 1],
            "blocks_up": [1, 1],
            "input_image_size": [8, 16, 16],
        },
    },
]


@pytest.mark.parametrize("given", MONAI, ids=[given["name"] for given in MONAI])
def test_networks_of_monai(given):
    options = OPTIONS.validate_python(given)
    net = build_network(options)
    law = net.size_law
    outputs = net(torch.randn(2, 1, *law.smallest))
    vae = outputs.pop("vae", None)
    assert (vae is not None) == (given["name"] == "SegResNetVAE")
    assert vae is None or vae.ndim == 0
    assert list(outputs) == ["main", "aux1"][: len(options.classes)]
    assert all(tuple(out.shape) == (2, 2, *law.smallest) for out in outputs.values())
    assert list(net.eval()(torch.randn(1, 1, *law.smallest))) == ["main"]
    with pytest.raises(WeftError, match="the nearest legal"):
        net(torch.zeros(1, 1, law.smallest[0], law.smallest[1] + 1, law.smallest[2]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "UNet"}, r"model\.arguments\.strides: UNet needs"),
        ({"name": "UNet", "arguments": {"strides": [[2, 2]]}}, r"strides: \[2, 2\]: expected"),
        ({"name": "SegResNetVAE", "arguments": {"input_image_size": [16, 30, 32]}}, "three multiples of 16"),
        ({"name": "BasicUNet", "arguments": {"out_channels": 3}}, r"out_channels: set from model"),
        ({"name": "BasicUNet", "arguments": {"depth": 3}}, r"nets\.BasicUNet: .*depth"),
        ({"name": "BasicUNet", "classes": (2, 2)}, "has 1 output"),
    ],
)
def test_wrong_arguments_are_named(given, said):
    with pytest.raises(WeftError, match=said):
        build_network(OPTIONS.validate_python(given))


def test_errors_say_the_next_legal_size():
    law = unet_xy_law(None)
    with pytest.raises(WeftError, match=r"\[48, 150, 148\]; the nearest legal: \[48, 148, 148\] gives \[20, 60, 60\], "
                       r"\[48, 156, 148\] gives \[20, 68, 60\]"):  # fmt: skip
        law.out_size((48, 150, 148))
    with pytest.raises(WeftError, match=r"size_out: unet_xy gives no \[20, 62, 60\]; the nearest legal: \[48, 148"):
        law.in_size((20, 62, 60))
    with pytest.raises(WeftError, match=r"size_out: \[48, 148, 148\] gives \[20, 60, 60\], not \[20, 64, 64\]"):
        law.pair((48, 148, 148), (20, 64, 64))
    with pytest.raises(WeftError, match="size_in: unet_xy needs the size of a patch"):
        law.pair(None, None)
    with pytest.raises(WeftError, match="expected three sizes"):
        law.out_size((48, 148))
    assert law.next_legal((10, 92, 92)) == (None, (29, 92, 92))
    assert law.covering((20, 61, 60)) == (48, 156, 148)


def test_a_network_of_one_size():
    given = law(name="SegResNetVAE", arguments={"input_image_size": [16, 32, 32]})
    assert given.legal((16, 32, 32))
    assert not given.legal((32, 32, 32))
    assert not given.legal((16, 40, 32))
    assert given.next_legal((17, 32, 32)) == ((16, 32, 32), None)
    assert given.covering((3, 3, 3)) == (16, 32, 32)
    with pytest.raises(WeftError, match=r"at most \[16, 32, 32\]"):
        given.covering((17, 32, 32))


def test_names_with_endings():
    options = OPTIONS.validate_python({"name": "unet_xy_zoom_0pad_dropout", "zoom_ratio": 2})
    assert (options.name, options.padding, options.dropout, options.zoom) == ("unet_xy_zoom", "zero", 0.2, 2)
    assert type(options).model_validate({"name": "unet_xy_dilated"}).dilation == 2
    with pytest.raises(ValidationError, match="means padding: zero, but padding is valid"):
        OPTIONS.validate_python({"name": "unet_xy_0pad", "padding": "valid"})
    with pytest.raises(ValidationError, match="does not zoom"):
        OPTIONS.validate_python({"name": "unet_xy", "zoom_ratio": 2})
    with pytest.raises(ValidationError, match="unet_xy_3pad"):
        OPTIONS.validate_python({"name": "unet_xy_3pad"})
