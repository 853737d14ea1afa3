"""What an output voxel depends on, and that the size of simulated nuclei can be larger than that."""

import numpy as np
import pytest
import torch

from weft.dense.build import build_network
from weft.dense.field_of_view import field_of_view
from weft.dense.options import UNetXYOptions
from weft.simulation.stacks.drawing import Grid
from weft.simulation.stacks.settings import Shells
from weft.simulation.stacks.shells import draw_shells
from weft.volumes.sight import blind_share

UNET = UNetXYOptions(name="unet_xy")
ZOOM = UNetXYOptions(name="unet_xy_zoom", zoom_ratio=3)


def dependence(options: UNetXYOptions, size: int) -> tuple[int, int]:
    """Widest extent along z, x of the input that one voxel of a middle row of the output depends on, from gradients.

    With average pooling, positive weights and no norms nothing that is read has gradient 0.
    """
    network = build_network(options).eval()
    for name, module in list(network.named_modules()):
        parent = network.get_submodule(name.rpartition(".")[0])
        last = name.rpartition(".")[2]
        if isinstance(module, torch.nn.MaxPool3d):
            setattr(parent, last, torch.nn.AvgPool3d(module.kernel_size))
        elif isinstance(module, torch.nn.BatchNorm3d):
            setattr(parent, last, torch.nn.Identity())
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    depth = 29 if options.zoom is None else 33
    volume = torch.ones((1, 1, depth, size, size), dtype=torch.float64, requires_grad=True)
    out = network(volume)["main"]
    middle, period = out.shape[-1] // 2, 8 * (options.zoom or 1)
    deep, wide = 0, 0
    for x in range(max(0, middle - period // 2), min(out.shape[-1], middle + period // 2)):
        (gradient,) = torch.autograd.grad(out[0, 0, 0, middle, x], volume, retain_graph=True)
        seen = torch.nonzero(gradient[0, 0])
        span = seen.max(0).values - seen.min(0).values + 1
        deep, wide = max(deep, int(span[0])), max(wide, int(span[2]))
    return deep, wide


@pytest.mark.parametrize(
    ("changes", "size"),
    [({"name": "unet_xy"}, 108), ({"name": "unet_xy", "dilation": 2}, 140),
     ({"name": "unet_xy_zoom", "zoom_ratio": 2}, 216)],
)  # fmt: skip
def test_the_field_of_view_is_what_the_network_depends_on(changes, size):
    options = UNetXYOptions.model_validate({"base_channels": 1, "classes": [2]} | changes)
    z, y, x = field_of_view(options)
    assert y == x
    assert dependence(options, size) == (z, x)


def test_fields_of_view():
    assert field_of_view(UNET) == (29, 100, 100)
    assert field_of_view(ZOOM) == (33, 300, 300)
    # Zeros around a volume do not change what is behind a voxel.
    assert field_of_view(UNET.model_copy(update={"padding": "zero"})) == (29, 100, 100)


def test_the_share_of_an_object_that_a_window_cannot_tell():
    instances = np.zeros((9, 20, 20), np.int32)
    instances[1:8, 2:12, 2:12] = 1
    assert blind_share(instances, (3, 5, 5)) == pytest.approx(5 * 6 * 6 / (7 * 10 * 10))
    assert blind_share(instances, (9, 5, 5)) == 0, "in z it sees the ends"
    instances[1:8, 2:12, 7:12] = 2
    assert blind_share(instances, (3, 5, 5)) == pytest.approx(5 * 6 * 2 / (7 * 10 * 10)), "neighbours are seen too"
    assert np.isnan(blind_share(np.zeros((2, 3, 4), int), (1, 1, 1)))


@pytest.mark.parametrize(("size", "too_large"), [(1, False), (4, True)])
def test_the_size_knob_leaves_the_field_of_view_of_one_network_only(size, too_large):
    """Filled nuclei of the simulation, some 60 voxels wide at size 1 and 240 at size 4, where the stack is as high as
    a patch: `unet_xy` cannot see the envelope from all of them, `unet_xy_zoom` can."""
    grid = Grid((48, 300, 300), (0.29, 0.1, 0.1))
    nucleus = Shells(kind="shells", count=(1, 1), marks="filled", lumen=0)
    inside = np.zeros(grid.shape, np.uint8)
    for drawn in draw_shells(nucleus, size, grid, np.random.default_rng([0, 0, 0])):
        inside[drawn.box][drawn.inside] = 1
    assert inside.any()
    assert blind_share(inside, field_of_view(ZOOM)) == 0
    share = blind_share(inside, field_of_view(UNET))
    assert share > 0.05 if too_large else share == 0
