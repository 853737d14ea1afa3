"""The Allen segmenter's Trainer YAML: microscopy_segmentation §2 (sizes) and §6 (keys)."""

from __future__ import annotations

from typing import Any

from weft.config.dialects.dialect import Dialect
from weft.config.dialects.rules import Drops, Maps, Noted, Only, PartOf, Rule, Several, Source, Unfit
from weft.config.dialects.stages import Defaults, Part, Plan

Size = tuple[int, int, int]


def out_size(model: str, size_in: Size, zoom: int = 1) -> Size | None:
    """Output patch (z, y, x) of ``unet_xy`` or ``unet_xy_zoom``; None where the network does not admit the input.

    z shrinks by 28 (with zoom 32). xy: 8p+60 becomes 8p−28 with an integer p ≥ 4; with zoom k, k(8p+60) becomes
    k(8p−28)−4, p ≥ 5 for k = 1 (microscopy_segmentation §2.1, §2.2).
    """
    zoomed = model == "unet_xy_zoom"
    z = size_in[0] - (32 if zoomed else 28)
    out = [z]
    for extent in size_in[1:]:
        p, rest = divmod(extent - 60 * zoom, 8 * zoom)
        if rest or p < _least_p(model, zoom):
            return None
        out.append(zoom * (8 * p - 28) - 4 * zoomed)
    return (out[0], out[1], out[2]) if z > 0 else None


def nearest_size(model: str, size_in: Size, zoom: int = 1) -> Size:
    """The admissible input patch nearest to ``size_in``, the larger of two that are as near."""
    least = _least_p(model, zoom)
    near = [max(least, round((extent - 60 * zoom) / (8 * zoom) + 1e-6)) for extent in size_in[1:]]
    return (max(size_in[0], _least_z(model)), zoom * (8 * near[0] + 60), zoom * (8 * near[1] + 60))


def _least_p(model: str, zoom: int) -> int:
    """Without a zoom the last block of ``unet_xy_zoom`` takes all four voxels that p = 4 leaves."""
    return 5 if model == "unet_xy_zoom" and zoom == 1 else 4


def _least_z(model: str) -> int:
    return 33 if model == "unet_xy_zoom" else 29


def check_sizes(source: Source) -> None:
    """Raise where `size_in` is none of the network, or `size_out` another one than it gives (§2.1-2.3)."""
    model = source.get("model.name")
    given_in, given_out = source.get("size_in"), source.get("size_out")
    if model not in ("unet_xy", "unet_xy_zoom") or given_in is None:
        return  # said by the rule of the key
    zoom = _zoom(source) if model == "unet_xy_zoom" else 1
    size_in, expected = _size("size_in", given_in), out_size(model, _size("size_in", given_in), zoom)
    if expected is None:
        near = nearest_size(model, size_in, zoom)
        law = f"{zoom}·(8p+60)" if zoom > 1 else "8p+60"
        named = f"{model} with zoom_ratio {zoom}" if zoom > 1 else model
        raise Unfit(
            f"size_in {list(size_in)}: {named} admits y and x of {law}, p from {_least_p(model, zoom)}, and z from "
            f"{_least_z(model)}; "
            f"nearest that works: size_in {list(near)}, size_out {list(out_size(model, near, zoom) or ())}"
        )
    if given_out is not None and _size("size_out", given_out) != expected:
        raise Unfit(f"size_out {given_out}: size_in {list(size_in)} gives {list(expected)}")


def _size(key: str, value: Any) -> Size:
    if not (isinstance(value, list) and len(value) == 3 and all(isinstance(n, int) and n > 0 for n in value)):
        raise Unfit(f"{key}: expected three positive numbers of voxels, z, y, x; got {value}")
    return (value[0], value[1], value[2])


def network(value: str, source: Source) -> Several:
    """``unet_xy``, or ``unet_xy_zoom`` with its factor."""
    if value not in ("unet_xy", "unet_xy_zoom"):
        raise Unfit("no such network; nearest that work: unet_xy, unet_xy_zoom")
    return Several({"model.name": value, **({"model.zoom_ratio": _zoom(source)} if value == "unet_xy_zoom" else {})})


def channels(value: int, source: Source) -> Several:
    """How many channels the network reads; the first ones of the image, where nothing says which."""
    chosen = {} if source.get("InputCh") is not None else {"data.channels": list(range(value))}
    return Several({"model.channels": value, **(chosen if value > 1 else {})})


def classes(value: list[int], source: Source) -> Several:
    """Classes of the output and of the auxiliary heads; more than two get names."""
    if not (isinstance(value, list) and value and all(isinstance(n, int) and n >= 2 for n in value)):
        raise Unfit("expected the number of classes, from 2, of each head; nearest that works: [2, 2, 2]")
    named = ["background", *(f"structure{k}" for k in range(1, value[0]))]
    return Several({"model.classes": value, **({"data.classes": named} if value[0] > 2 else {})})


def _zoom(source: Source) -> int:
    """By what factor ``unet_xy_zoom`` pools its input in y and x."""
    zoom = source.get("model.zoom_ratio", default=3)
    if not isinstance(zoom, int) or zoom < 1:
        raise Unfit(f"model.zoom_ratio: expected a whole number from 1, got {zoom}; nearest that works: 3")
    return zoom


def _iterations(value: int, source: Source) -> Several:
    """An epoch there is a buffer of patches; the loop runs epochs 0 to E inclusive (§5)."""
    batch, patches = source.get("loader.batch_size", default=1), source.get("loader.PatchPerBuffer", default=200)
    steps = (value + 1) * (patches // batch)
    note = f"{value} + 1 epochs of {patches} patches in batches of {batch}"
    return Several({"training.iterations": Noted(steps, note)})


def _steps(value: int, source: Source) -> Noted:
    batch, patches = source.get("loader.batch_size", default=1), source.get("loader.PatchPerBuffer", default=200)
    return Noted(value * (patches // batch), f"{value} epochs of {patches // batch} steps")


def _validates(source: Source) -> bool:
    """Whether the training is validated: it is not without the block, nor where `metric: null` turns it off (§5)."""
    validation = source.get("validation", default={})
    return bool(validation) and ("metric" not in validation or validation["metric"] is not None)


def _save(value: int, source: Source) -> Several:
    """A checkpoint is written after each validation, unless there are none or the file says when they are."""
    with_validations = _validates(source) and source.get("validation.validate_every_n_epoch") is None
    return Several({"training.validate_every" if with_validations else "training.save_every": _steps(value, source)})


def _validate_every(value: int, source: Source) -> Noted:
    return _steps(value, source) if _validates(source) else Noted(None, "metric: null turns validations off")


def _buffer(value: int, source: Source) -> Several:
    epochs = source.get("loader.epoch_shuffle", default=5)
    return Several({"data.sampling.buffer": {"patches": value, "epochs": epochs}})


def _left_out(value: list[float], source: Source) -> dict[str, Any] | Noted:
    if not _validates(source):
        return Noted(None, "metric: null turns validations off")
    if not (isinstance(value, list) and value and all(isinstance(n, int | float) and n >= 0 for n in value)):
        raise Unfit("expected numbers of images, or a share of them; nearest that works: [0.1]")
    if len(value) == 1 and 0 < value[0] < 1:
        return {"fraction": value[0]}
    if not all(float(n).is_integer() for n in value):
        raise Unfit("expected whole numbers of images, or one share of them; nearest that works: [0.1]")
    return {"events": [int(n) for n in value]}


def _loader(value: str, source: Source) -> Noted | None:
    if value not in ("default", "focus"):
        raise Unfit("no such loader; nearest that work: default, focus")
    return Noted(1000, "focus: patches of fewer voxels with a cost are not taken") if value == "focus" else None


TABLE: dict[str, Rule] = {
    "model.name": Maps("model.name, model.zoom_ratio", network, "unet_xy, unet_xy_zoom"),
    "model.zoom_ratio": PartOf("model.name"),
    "nchannel": Maps("model.channels", channels, "with data.channels, the first ones, where there are several"),
    "nclass": Maps("model.classes", classes, "of the output and of each auxiliary head"),
    "size_in": Maps(
        "data.patch", says="checked against the law of sizes; the nearest that the network admits is named"
    ),
    "size_out": Maps("data.size_out", says="follows from size_in, and is checked"),
    "checkpoint_dir": Drops("everything lies in the folder of the experiment, below results/"),
    "resume": Maps("init", says="weights only, as there; a model.ckpt of ours"),
    "learning_rate": Maps("optimizer.lr"),
    "weight_decay": Maps(
        "optimizer.weight_decay",
        lambda value, source: Several(
            {"optimizer.weight_decay": value, **({"optimizer.decay_all": True} if value else {})}
        ),
        "of all parameters: decay_all",
    ),
    "loss.name": Only(("Aux",), "the weighted sum over the output and the auxiliary heads"),
    "loss.loss_weight": Maps("loss.loss_weight", says="weights of the output and of each auxiliary head"),
    "loss.ignore_index": Maps("loss.ignore_index", says="there read and not used; here it is"),
    "epochs": Maps("training.iterations", _iterations, "(epochs + 1) · (PatchPerBuffer // batch_size)"),
    "save_every_n_epoch": Maps(
        "training.save_every, validate_every",
        _save,
        "times PatchPerBuffer // batch_size; of validations, where the file does not say when they are",
    ),
    "loader.name": Maps("data.sampling.least_cost", _loader, "focus: 1000 voxels; default: any"),
    "loader.datafolder": Maps(
        "dataset:splits.train.files", lambda value, source: [value], "img, img_GT and img_CM, as there"
    ),
    "loader.batch_size": Maps("training.batch_size", says="patches"),
    "loader.PatchPerBuffer": Maps("data.sampling.buffer", _buffer, "with epoch_shuffle; an epoch is as long"),
    "loader.epoch_shuffle": PartOf("loader.PatchPerBuffer"),
    "loader.NumWorkers": Maps("training.workers"),
    "validation.metric": Only(("default",), "intersection over union, among others"),
    "validation.leaveout": Maps(
        "training.hold_out", _left_out, "a share, or numbers of images, in the order of their names"
    ),
    "validation.OutputCh": Drops("every class is scored"),
    "validation.validate_every_n_epoch": Maps(
        "training.validate_every", _validate_every, "times PatchPerBuffer // batch_size"
    ),
    "device": Maps(
        "resources.gpu", lambda value, source: int(str(value).startswith("cuda")), "1 for cuda, of whatever number"
    ),
}

_TURNED = {"flip": ["x"], "turn": False, "rotate": {"probability": 1.0, "low": 1, "high": 179}}

_DEFAULTS: Defaults = {
    "loss.normalise": ("voxels", "there built in: divided by all voxels, those of cost 0 included"),
    "data.normalisation": ([], "there images of the training are normalised already"),
    "data.augment": (_TURNED, "there built in"),
    "data.sampling.foreground": (0.0, "there patches lie anywhere"),
    "optimizer.name": ("Adam", "there built in"),
    "schedule.name": ("constant", "there none"),
    "evaluation.splits": (["train"], "there are no other images; name a split of some to test on"),
}


def _plan(source: Source) -> Plan:
    check_sizes(source)
    truth = {"truth": ["image", "spacing", "labels"]}
    validated: Defaults = (
        {"training.hold_out": ({"fraction": 0.1}, "the file does not say which images are validated on")}
        if _validates(source)
        else {"training.validate_every": (None, "there none: the last weights are kept")}
    )
    return Plan({"unet": Part("volume_segmentation", needs=truth, defaults={**_DEFAULTS, **validated})})


SEGMENTER = Dialect(
    name="segmenter",
    title="the segmenter's Trainer",
    table=TABLE,
    plan=_plan,
    signs=(("size_in", "size_out", "loader"), ("loader.PatchPerBuffer",)),
    dataset={"source": ("files", ""), "kind": ("stacks", "")},
    differs=(
        "one optimiser for the run; there a new one every epoch, whose moments begin at zero",
        "with a validation the weights of the best one are kept; there those of every so many epochs",
        "probabilities stay as they are; there the largest of an image became 1, the smallest 0",
    ),
)
