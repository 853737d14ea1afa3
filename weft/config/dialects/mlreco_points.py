"""The joint U-ResNet and PPN of 2020 (``uresnet_ppn_chain``): the keys of its module ``ppn``.

In the full chain the module is one of many that are trained together; there its keys are kept as comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.rules import Drops, Later, Maps, Only, Refuses, Rule, Several, Source, Unfit, When

_PPN, _UNET = "model.modules.ppn", "model.modules.uresnet_lonely"
_STEP = "points of interest (PPN)"
JOINT = ("uresnet_ppn_chain", "uresnet_ppn")


def is_joint(source: Source) -> bool:
    """Whether the file trains a PPN with its U-ResNet and nothing else."""
    return source.get("model.name") in JOINT


def task(value: str, source: Source) -> Several | None:
    """The stage of a joint training; nothing for a U-ResNet alone, which is what the stage is otherwise."""
    if not is_joint(source):
        return None
    products = ["voxels", "charge", "meta", "semantics", "particles"]
    return Several(
        {
            "task": "points",
            "needs.truth": products,
            "model.form": "scales3",
            "model.semantic": True,
            "data.min_voxels": 5,
        }
    )


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

    return Maps(f"model.{'depth' if key == 'num_strides' else key}", compare, f"as `{_UNET}.{key}`")


_RULES: Mapping[str, Rule] = {
    "num_strides": _same("num_strides"),
    "filters": _same("filters"),
    "num_classes": Only((5,), "shower, track, Michel, delta, low-energy"),
    "data_dim": Only((3,), "voxels have three coordinates"),
    "downsample_ghost": Drops("there are no ghosts"),
    "use_encoding": Only((False,), "the PPN reads the decoder"),
    "ppn_num_conv": Maps("model.ppn_num_conv"),
    "score_threshold": Only((0.5,), "a voxel goes on where a point is likelier than none"),
    "ppn1_size": Maps("model.ppn1_size"),
    "ppn2_size": Maps("model.ppn2_size"),
    "spatial_size": Maps("model.spatial_size"),
    "true_distance_ppn1": Only((1.0,), "a coarse voxel is positive where it holds a label point"),
    "true_distance_ppn2": Only((1.0,), "a coarse voxel is positive where it holds a label point"),
    "true_distance_ppn3": Maps("loss.radius", says="voxels; from the centre of a voxel, there from its corner"),
    "weight_ppn1": Maps("loss.ppn1_weight"),
    "random_sample_negatives": Only((False,), "all voxels that are not masked count"),
    "near_sampling": Only((False,), "all voxels that are not masked count"),
    "sampling_factor": Drops("read only with negatives that are sampled"),
    "model_path": Refuses("weights of SparseConvNet cannot be read; nearest that works: ''"),
    "freeze_weights": Only((False,), "the PPN is what is trained"),
}

POINTS: Mapping[str, Rule] = {
    f"{_PPN}.{key}": When(is_joint, "in uresnet_ppn_chain", rule, Later(_STEP)) for key, rule in _RULES.items()
}
