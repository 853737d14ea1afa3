"""The U-ResNet and PPN of 2020, alone (``uresnet_ppn_chain``) and in the full chain: the keys of its module ``ppn``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Checked, Drops, Maps, Noted, Only, Rule, Source, Unfit

_PPN, _UNET = "model.modules.ppn", "model.modules.uresnet_lonely"
_JOINT = ("uresnet_ppn_chain", "uresnet_ppn", "full_chain")


def is_joint(source: Source) -> bool:
    """Whether the file trains a PPN with its U-ResNet."""
    return source.get("model.name") in _JOINT


def starts(value: str, source: Source) -> Noted | None:
    """A file of weights, which has to be one of ours."""
    return Noted(value, "as a model.ckpt of ours: those of 2020 are not read") if value else None


def _same_file(value: str, source: Source) -> Noted | None:
    """Weights of the PPN: those of the U-ResNet, of which it reads the maps, are in the same file."""
    if value and value != source.get(f"{_UNET}.model_path", "trainval.model_path", default=""):
        raise Unfit(f"the file of {_UNET}.model_path has both; nearest that works: the same there and here")
    return Noted(None, f"read with {_UNET}.model_path")


def ghost(value: bool, source: Source) -> bool | None:
    """Ghost points are told apart by the U-ResNet alone."""
    if not is_joint(source):
        return value
    if value:
        raise Unfit("a joint training with a PPN cannot do this; nearest that works: false")
    return None


def _same(key: str) -> Rule:
    """A key that the U-ResNet has too: the PPN reads the maps of that one."""

    def compare(value: Any, source: Source) -> None:
        other = source.get(f"{_UNET}.{key}")
        if other is not None and other != value:
            raise Unfit(f"{_UNET}.{key} is {other}, of which the PPN reads the maps; nearest that works: {other}")

    return Checked(compare, f"as `{_UNET}.{key}`")


def freeze(value: bool, source: Source) -> list[str] | None:
    """``freeze_weights`` of the U-ResNet, with a PPN that is trained."""
    if value and not is_joint(source):
        raise Unfit("with its only network frozen there is nothing to train; nearest that works: false")
    return ["trunk", "head"] if value else None


def _freeze_points(value: bool, source: Source) -> list[str] | None:
    """In the full chain the PPN can be held fixed."""
    if value and source.get("model.name") != "full_chain":
        raise Unfit("the PPN is what is trained; nearest that works: false")
    return ["ppn"] if value else None


_RULES: Mapping[str, Rule] = {
    "num_strides": _same("num_strides"),
    "filters": _same("filters"),
    "num_classes": Only((5,), "shower, track, Michel, delta, low-energy"),
    "data_dim": Only((3,), "voxels have three coordinates"),
    "downsample_ghost": Drops("there are no ghosts"),
    "use_encoding": Only((False,), "the PPN reads the decoder"),
    "ppn_num_conv": Maps("uresnet:model.ppn_num_conv"),
    "score_threshold": Only((0.5,), "a voxel goes on where a point is likelier than none"),
    "ppn1_size": Maps("uresnet:model.ppn1_size"),
    "ppn2_size": Maps("uresnet:model.ppn2_size"),
    "spatial_size": Maps("uresnet:model.spatial_size"),
    "true_distance_ppn1": Only((1.0,), "a coarse voxel is positive where it holds a label point"),
    "true_distance_ppn2": Only((1.0,), "a coarse voxel is positive where it holds a label point"),
    "true_distance_ppn3": Maps("uresnet:loss.radius", says="voxels; from the centre of a voxel, there from its corner"),
    "weight_ppn1": Maps("uresnet:loss.ppn1_weight"),
    "random_sample_negatives": Only((False,), "all voxels that are not masked count"),
    "near_sampling": Only((False,), "all voxels that are not masked count"),
    "sampling_factor": Drops("read only with negatives that are sampled"),
    "model_path": Maps("uresnet:init", _same_file, f"the file of `{_UNET}.model_path`"),
    "freeze_weights": Maps("uresnet:freeze", _freeze_points, "in full_chain: the module ppn"),
}

POINTS: Mapping[str, Rule] = {f"{_PPN}.{key}": rule for key, rule in _RULES.items()}
