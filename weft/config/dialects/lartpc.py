"""What the two dialects of liquid-argon images share: the stage, the products and the files."""

from __future__ import annotations

import glob
from typing import Any

from weft.config.dialects.rules import Noted, Several, Source, Unfit

_RAW = "there the network sees the plain charge"
_NONE = "there nothing is varied"

_CONSTANT = {"schedule.name": ("constant", "there no scheduler")}
#: Keys of a stage that sees voxels, where the file does not say otherwise.
IMAGE_DATA: dict[str, tuple[Any, str]] = {
    "data.charge": ("linear", _RAW),
    "data.flip": (False, _NONE),
    "data.rotate": (False, _NONE),
    "data.shift": (0, _NONE),
    "data.charge_jitter": (0.0, _NONE),
    **_CONSTANT,
}
#: Keys of a stage that sees clusters.
GRAPH_DATA: dict[str, tuple[Any, str]] = {
    "data.flip": (False, _NONE),
    "data.rotate": (False, _NONE),
    "data.charge_jitter": (0.0, _NONE),
    **_CONSTANT,
}

#: Keys of a dataset of LArCV files.
LARCV_FILES: dict[str, tuple[Any, str]] = {"source": ("files", "")}


def saves(value: int, source: Source) -> Several:
    """Steps between checkpoints; the best weights are chosen by validations, which the tools do without."""
    return Several({"training.save_every": value, "training.validate_every": Noted(value, "there none is needed")})


_SHARES = Noted(
    {name: {"fraction": share} for name, share in (("train", 0.9), ("val", 0.05), ("test", 0.05))},
    "there all entries train; here some are kept to validate and to test",
)


def splits(training: Any, validation: Any, limit: int | None) -> Several:
    """The splits of a dataset: of two lists of files, or shares of one.

    training, validation: a path, a glob, or several. limit: the tool reads only so many of the training files.
    """
    files = _limited(training, limit)
    if validation is None:
        return Several({"dataset:files": files, "dataset:splits": _SHARES})
    return Several(
        {
            "dataset:splits.train.files": files,
            "dataset:splits.val.files": _listed(validation),
            "evaluation.splits": Noted(["val"], "there are no files to test on; give the dataset a split and name it"),
        }
    )


def _listed(files: Any) -> list[str]:
    return [files] if isinstance(files, str) else list(files)


def _limited(given: Any, limit: int | None) -> list[str] | Noted:
    files = _listed(given)
    if limit is None or limit <= 0:
        return files
    if any(map(glob.has_magic, files)):
        raise Unfit(
            f"limit_num_files: {limit} of the files that a glob finds; nearest that works: the paths themselves"
        )
    return files if len(files) <= limit else Noted(files[:limit], f"the first {limit} of {len(files)}: limit_num_files")


def charge_and_labels(products: dict[str, str]) -> dict[str, str]:
    """The products of a dataset, in one order."""
    return {name: products[name] for name in ("charge", "semantics", "clusters", "particles") if name in products}
