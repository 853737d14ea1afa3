"""The memory of a step, counted without computing, and the largest patch."""

import itertools

import pytest
import torch

from weft.dense.build import build_network
from weft.dense.laws import law_of
from weft.dense.memory import GB, largest_patch, step_memory
from weft.dense.options import MonaiOptions, UNetXYOptions
from weft.errors import WeftError

NARROW = UNetXYOptions(base_channels=2, classes=(2,))


def test_what_layers_keep_is_what_autograd_saves():
    size = law_of(NARROW).smallest
    network = build_network(NARROW)
    saved = {}
    parameters = {parameter.data_ptr() for parameter in network.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = network(torch.zeros(3, 1, *size))
    counted = step_memory(NARROW, size, 3)
    assert counted.kept == sum(saved.values()) + 3 * output["main"].nbytes
    assert counted.weights == 16 * sum(parameter.numel() for parameter in network.parameters())
    assert counted.total == sum(counted)


@pytest.mark.parametrize("options", [NARROW, UNetXYOptions(name="unet_xy_zoom", zoom_ratio=2, base_channels=2)])
def test_the_largest_patch_fits_and_the_next_does_not(options):
    memory = 0.12
    patch = largest_patch(options, memory, 2)
    law = law_of(options)
    assert law.legal(patch)
    assert patch[1] == patch[2]
    assert step_memory(options, patch, 2).total <= 0.9 * memory * GB
    volume = {}
    for dz, dn in itertools.product((-2, 0, 1), (-1, 0, 1)):
        z, n = patch[0] + dz * law.step[0], patch[1] + dn * law.step[1]
        if law.legal((z, n, n)) and step_memory(options, (z, n, n), 2).total <= 0.9 * memory * GB:
            z_out, n_out, _ = law.out_size((z, n, n))
            volume[z, n, n] = z_out * n_out**2
    assert volume[patch] == max(volume.values())


def test_no_larger_than_the_image():
    law = law_of(NARROW)
    assert largest_patch(NARROW, 100, 1, most=(5, 20, 30)) == law.covering((5, 20, 30)) == (33, 108, 124)


def test_less_memory_and_more_patches_give_smaller_ones():
    sizes = [largest_patch(NARROW, memory, batch) for memory, batch in ((0.2, 1), (0.1, 1), (0.1, 2))]
    volumes = [z * y * x for z, y, x in sizes]
    assert volumes == sorted(volumes, reverse=True)
    assert volumes[0] > volumes[-1]


def test_too_little_memory_says_what_is_needed():
    with pytest.raises(
        WeftError, match=r"a step of 4 patches of \[29, 92, 92\], the smallest, takes [\d.]+ GB, and 1 GB"
    ):
        largest_patch(UNetXYOptions(), 1, 4)


def test_a_network_of_one_size():
    given = {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1], "input_image_size": [8, 16, 16]}
    options = MonaiOptions(name="SegResNetVAE", arguments=given)
    assert largest_patch(options, 4, 1) == (8, 16, 16)
