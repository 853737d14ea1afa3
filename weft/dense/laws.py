"""The size law of each network, from its options alone. No torch in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.dense.options import MonaiOptions, NetworkOptions, ResidualUNetOptions, UNetXYOptions
from weft.dense.planning import planned
from weft.dense.size_law import AxisLaw, SizeLaw
from weft.errors import WeftError


def law_of(options: NetworkOptions) -> SizeLaw:
    """Which sizes the network of these options admits.

    Raises:
        WeftError: the arguments of a MONAI network do not say.
    """
    if isinstance(options, UNetXYOptions):
        return unet_xy_law(options.zoom, options.padding == "zero", options.dilation)
    if isinstance(options, ResidualUNetOptions):
        return padded_law(planned(options).step, options.name)
    return _monai_law(options)


def unet_xy_law(zoom: int | None, padded: bool = False, dilation: int = 1) -> SizeLaw:
    """The law of ``unet_xy`` (zoom: None) and of ``unet_xy_zoom`` (spec §2.1, §2.2).

    Each of the seven blocks, eight with a zoom, takes 4 voxels off each axis at its own resolution: 28 (32) in z, which
    is never pooled, and 56 + 32 = 88 in x and y, of which 32 at the bottom, where dilated convolutions take more. The
    bottom must be at least 4 voxels wide for its way up to exist.
    """
    k = 1 if zoom is None else zoom
    network = "unet_xy" if zoom is None else f"unet_xy_zoom with zoom_ratio {k}"
    if padded:
        return padded_law((1, 8 * k, 8 * k), network + ", zero-padded")
    last = 0 if zoom is None else 4  # of the block at the full resolution, above the zoom
    shrink = k * (56 + 32 * dilation) + last
    smallest = k * (60 + 32 * dilation)
    if smallest <= shrink:  # zoom_ratio 1: the last block takes all four voxels
        smallest += 8 * k
    plane = AxisLaw(smallest, 8 * k, shrink)
    return SizeLaw(AxisLaw(29 + last, 1, 28 + last), plane, plane, network)


def padded_law(step: Sequence[int], network: str) -> SizeLaw:
    """Of a network that pads: multiples of ``step``, and more than one voxel at the bottom, which norms need."""
    z, y, x = step
    return SizeLaw(AxisLaw(z, z), AxisLaw(2 * y, y), AxisLaw(2 * x, x), network)


def _monai_law(options: MonaiOptions) -> SizeLaw:
    arguments = options.arguments
    if options.name in ("BasicUNet", "VNet"):  # BasicUNet takes others too, and pads them inside
        return padded_law((16, 16, 16), options.name)
    if options.name in ("UNet", "DynUNet"):
        return padded_law(_product(options.name, arguments.get("strides")), options.name)
    levels = len(arguments.get("blocks_down", (1, 2, 2, 4)))
    step = 2 ** (levels - 1)
    if options.name == "SegResNet":
        return padded_law((step, step, step), options.name)
    size = arguments.get("input_image_size")
    if not isinstance(size, Sequence) or len(size) != 3 or any(not isinstance(n, int) or n % (2 * step) for n in size):
        raise WeftError(
            f"model.arguments.input_image_size: SegResNetVAE is built for one size of patch; expected three multiples "
            f"of {2 * step}, not {size}"
        )
    z, y, x = size
    return SizeLaw(AxisLaw(z, step), AxisLaw(y, step), AxisLaw(x, step), options.name, largest=(z, y, x))


def _product(network: str, strides: Any) -> tuple[int, int, int]:
    """Product of the strides, axis by axis; each is one number or three."""
    step = [1, 1, 1]
    if not isinstance(strides, Sequence) or isinstance(strides, str) or not strides:
        raise WeftError(f"model.arguments.strides: {network} needs the strides of its levels, such as [2, 2, 2]")
    for stride in strides:
        three = (stride,) * 3 if isinstance(stride, int) else tuple(stride)
        if len(three) != 3 or not all(isinstance(n, int) and n > 0 for n in three):
            raise WeftError(f"model.arguments.strides: {stride}: expected a positive number, or three")
        step = [a * b for a, b in zip(step, three, strict=True)]
    return step[0], step[1], step[2]
