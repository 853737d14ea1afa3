"""Where SPINE keeps the weights of its U-ResNet and its PPN (MinkowskiEngine layout).

SPINE 1.4 builds the networks of :mod:`weft.sparse.uresnet` and :mod:`weft.sparse.ppn` from modules of MinkowskiEngine.
Kernels are [volume, Cin, Cout] with the offsets in our order (:func:`weft.sparse.kernel_map.kernel_offsets`), [Cin,
Cout] where the volume is 1; batch norms have one more name level, ``bn``; its decoders count levels from the deepest
one.
"""

from __future__ import annotations

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def batch_norm_names(ours: str, theirs: str) -> dict[str, str]:
    """``{our name: SPINE's}`` of the tensors of one batch norm."""
    return {f"{ours}.{tensor}": f"{theirs}.bn.{tensor}" for tensor in BATCH_NORM}


def uresnet_names(depth: int, reps: int) -> dict[str, str]:
    """``{our name: SPINE's}`` of every tensor of :class:`weft.sparse.uresnet.UResNet`, both below the network."""
    names = {"stem.weight": "encoder.input_layer.kernel"}
    for level in range(depth):
        for block in range(reps):
            names |= _block_names(f"encoder.{level}.{block}", f"encoder.encoding_block.{level}.{block}")
    for level in range(depth - 1):
        names |= batch_norm_names(f"down.{level}.0.0", f"encoder.encoding_conv.{level}.0")
        names[f"down.{level}.1.weight"] = f"encoder.encoding_conv.{level}.2.kernel"
        from_below = depth - 2 - level
        names |= batch_norm_names(f"up.{level}.0.0", f"decoder.decoding_conv.{from_below}.0")
        names[f"up.{level}.1.weight"] = f"decoder.decoding_conv.{from_below}.2.kernel"
        for block in range(reps):
            theirs = f"decoder.decoding_block.{from_below}.{block}"
            names |= _block_names(f"decoder.{level}.{block}", theirs)
            if block == 0:  # takes the concatenated maps, so its widths differ
                names[f"decoder.{level}.{block}.shortcut.module.weight"] = f"{theirs}.residual.linear.weight"
    return names


def ppn_names(depth: int, reps: int, ends: bool) -> dict[str, str]:
    """``{our name: SPINE's}`` of every tensor of :class:`weft.sparse.ppn.EveryScale`, both below the network."""
    names: dict[str, str] = {}
    for level in range(depth - 1):
        from_below = depth - 2 - level
        names |= batch_norm_names(f"up.{level}.0.0", f"decoding_conv.{from_below}.0")
        names[f"up.{level}.1.weight"] = f"decoding_conv.{from_below}.2.kernel"
        for block in range(reps):
            names |= _block_names(f"decoder.{level}.{block}", f"decoding_block.{from_below}.{block}")
        shortcut = f"decoding_block.{from_below}.0.residual.linear.weight"
        names[f"decoder.{level}.0.shortcut.module.weight"] = shortcut
        names |= _linear_names(f"masks.{level}", f"ppn_masks.{from_below}")
    names |= _block_names("final", "final_block")
    for ours, theirs in (("offset", "ppn_pixel_pos"), ("classes", "ppn_type"), ("end", "ppn_endpoint"))[: 2 + ends]:
        names |= _linear_names(ours, theirs)
    return names


def _linear_names(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{tensor}": f"{theirs}.linear.{tensor}" for tensor in ("weight", "bias")}


def _block_names(ours: str, theirs: str) -> dict[str, str]:
    return {
        **batch_norm_names(f"{ours}.residual.0.0", f"{theirs}.norm1"),
        f"{ours}.residual.1.weight": f"{theirs}.conv1.kernel",
        **batch_norm_names(f"{ours}.residual.2.0", f"{theirs}.norm2"),
        f"{ours}.residual.3.weight": f"{theirs}.conv2.kernel",
    }
