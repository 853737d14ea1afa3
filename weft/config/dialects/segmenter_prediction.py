"""The Allen segmenter's prediction YAML: microscopy_segmentation §6 (keys), §7 (what was done), §8 (recipes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.rules import Checked, Drops, Maps, Noted, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.segmenter import channels, check_sizes, classes, network
from weft.config.dialects.stages import Defaults, Part, Plan


def _tidy(document: dict[str, Any]) -> dict[str, Any]:
    """``model: unet_xy`` is short for ``model: {name: unet_xy}``."""
    model = document.get("model")
    return document | {"model": {"name": model}} if isinstance(model, str) else document


def _channels_read(value: list[int], source: Source) -> list[int]:
    count = source.get("nchannel", default=1)
    if not isinstance(value, list) or len(value) != count:
        raise Unfit(f"expected as many numbers of channels as nchannel says ({count})")
    return value


def _main_output(value: list[int], source: Source) -> None:
    if value[::2] != [0] * len(value[::2]):
        raise Unfit("auxiliary heads are of the training alone; nearest that works: [0, 1]")


def _same_voxels(value: list[float], source: Source) -> None:
    if any(float(ratio) != 1 for ratio in value):
        raise Unfit(
            "images are resized by their voxel size here: data.spacing, in the training as well; "
            "nearest that works: [1.0, 1.0, 1.0]"
        )


def _recipe(value: Any, source: Source) -> Several | Noted:
    """A number, a list of steps, or a list for each channel by any name."""
    if isinstance(value, Mapping):
        return Several({"data.normalisations": list(value.values())})
    note = "there without effect, by a slip" if value == 0 else "as in the training, or deploy refuses the model"
    return Noted(value, note)


def _threshold(value: float, source: Source) -> float | None:
    if value > 0 and not value < 1:
        raise Unfit("a probability is below 1; nearest that works: 0.9")
    return value if value > 0 else None


def _views(value: bool, source: Source) -> Noted | None:
    return Noted("flips", "8 mirrorings; there 4, each axis alone") if value else None


def _folder(value: str, source: Source) -> list[str]:
    kind = source.get("mode.DataType")
    return [value if kind is None else f"{value.rstrip('/')}/*{kind}"]


TABLE: dict[str, Rule] = {
    "model.name": Maps("model.name, model.zoom_ratio", network, "unet_xy, unet_xy_zoom"),
    "model.zoom_ratio": PartOf("model.name"),
    "model_path": Maps("checkpoint", says="a model.ckpt of ours"),
    "nchannel": Maps("model.channels", channels, "with data.channels, where InputCh does not say which"),
    "nclass": Maps("model.classes", classes, "of the output and of each auxiliary head"),
    "OutputCh": Checked(_main_output, "the main output only, of which every class is written"),
    "size_in": Maps("data.patch", says="of a window; the nearest that the network admits is named"),
    "size_out": Maps("data.size_out", says="follows from size_in, and is checked"),
    "OutputDir": Drops("results/, or what weft deploy --output names"),
    "InputCh": Maps("data.channels", _channels_read, "-1: the last"),
    "ResizeRatio": Checked(_same_voxels, "only 1: images are resized by their voxel size (data.spacing)"),
    "Normalization": Maps(
        "data.normalisation", _recipe, "the number of a recipe, or steps; data.normalisations of each"
    ),
    "Threshold": Maps("data.inference.threshold", _threshold, "-1: the most probable class; probabilities are written"),
    "RuntimeAug": Maps("data.inference.views", _views, "true: flips"),
    "mode.name": Drops("a folder and a file are read alike"),
    "mode.InputFile": Maps("dataset:splits.files.files", lambda value, source: [value], "TIFF"),
    "mode.InputDir": Maps("dataset:splits.files.files", _folder, "with DataType: DIR/*TYPE"),
    "mode.DataType": PartOf("mode.InputDir"),
    "mode.timelapse": Drops("read from the axes of the file: each time point is an event"),
}

_DEFAULTS: Defaults = {
    "evaluation.splits": (["files"], ""),
    "baseline": (None, "nothing is judged"),
}


def _plan(source: Source) -> Plan:
    check_sizes(source)
    folder = {"data.inference.objects": ({"min_voxels": 2}, "there in mode folder")}
    defaults = {**_DEFAULTS, **(folder if source.get("mode.InputDir") is not None else {})}
    if source.get("model_path") is None:
        raise Unfit("model_path is missing: the model.ckpt that predicts")
    return Plan({"unet": Part("volume_segmentation", needs={"truth": ["image", "spacing"]}, defaults=defaults)})


SEGMENTER_PREDICTION = Dialect(
    name="segmenter_prediction",
    title="the segmenter's prediction",
    table=TABLE,
    plan=_plan,
    signs=(("model_path", "size_in", "OutputCh"), ("RuntimeAug",), ("ResizeRatio",)),
    dataset={"source": ("files", ""), "kind": ("stacks", "")},
    experiment={"truth": (False, "images without labels are predicted, nothing is judged")},
    tidy=_tidy,
    differs=(
        "windows overlap and are blended; there tiles lay side by side",
        "images are normalised, and resized, in one order; there a folder was resized before, a file after",
        "probabilities stay as they are; there the largest of an image became 1, the smallest 0",
    ),
)
