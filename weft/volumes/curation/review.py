"""Segmentations are measured, drawn and listed, so that a person or a rule can decide which become training data."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from weft.config.curated import Acceptance, CurationOptions
from weft.errors import WeftError
from weft.io.png import write_png
from weft.volumes.curation.masks import open_mask
from weft.volumes.curation.places import Image, Segmented, open_image, open_segmentation
from weft.volumes.curation.sheet import contact_sheet
from weft.volumes.curation.table import Row, write_table
from weft.volumes.lazy import slabs
from weft.volumes.normalise import channel

TABLE = "candidates.csv"
SHEETS = "sheets"


def review(
    rows: Sequence[Row],
    folder: Path,
    accept: Acceptance | None = None,
    options: CurationOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Write ``candidates.csv`` and a contact sheet for each row into a folder.

    The rows get what was measured of their segmentations: `foreground`, the share of the voxels that have a class;
    `confidence`, the mean probability of their class, where probabilities are known; `agreement`, the Dice coefficient
    of two segmentations (both empty: 1). Where `accept` is given, rows without a score get one from it.

    Raises WeftError where a file cannot be read, or a criterion needs probabilities that there are not.
    """
    options = options or CurationOptions()
    made, used = [], set()
    for k, row in enumerate(rows):
        sheet = f"{SHEETS}/{_file_name(row.name)}.png"
        if sheet in used:
            sheet = f"{sheet.removesuffix('.png')}-{k:04d}.png"
        used.add(sheet)
        measures = _look(row, folder / sheet, options)
        score = row.score
        if score is None and accept is not None:
            score = float(accepted(row, measures, accept))
        made.append(replace(row, measures=measures, sheet=sheet, score=score))
        if progress is not None:
            progress(k + 1, len(rows))
    write_table(folder / TABLE, made)
    return made


def accepted(row: Row, measures: dict[str, float], accept: Acceptance) -> bool:
    """Whether a segmentation is as it must be.

    Raises WeftError where a criterion is about what is not known of it.
    """
    limits = (
        ("confidence", accept.min_confidence, None),
        ("foreground", accept.min_foreground, accept.max_foreground),
        ("agreement", accept.min_agreement, None),
    )
    for name, least, most in limits:
        if least is None and most is None:
            continue
        if name not in measures:
            why = "its segmentation has no probabilities" if name == "confidence" else "it has one segmentation"
            raise WeftError(f"{row.name}: min_{name}: {why}")
        value = measures[name]
        # Of a segmentation without a single voxel nothing is sure.
        if not (least is None or value >= least) or not (most is None or value <= most):
            return False
    return True


def _look(row: Row, sheet: Path, options: CurationOptions) -> dict[str, float]:
    """Measure one row and draw its sheet."""
    if row.raw is None or row.segmentation is None:
        raise WeftError(f"{row.name}: needs raw and segmentation")
    with ExitStack() as stack:
        image = stack.enter_context(open_image(row.raw))
        first = stack.enter_context(open_segmentation(row.segmentation, options))
        both = [first]
        if row.segmentation_2 is not None:
            both.append(stack.enter_context(open_segmentation(row.segmentation_2, options)))
        for segmented in both:
            require_shape(row, image, segmented)
        excluded = stack.enter_context(open_mask(row.excluding_mask, image.shape))
        write_png(sheet, contact_sheet(channel(image.volume, 0), [one.labels for one in both], excluded))
        measures = measured(first)
        if len(both) > 1:
            measures["agreement"] = agreement(first, both[1])
        return measures


def measured(segmented: Segmented) -> dict[str, float]:
    """`foreground`, and `confidence` where probabilities are known (NaN without foreground)."""
    voxels, found, total = 0, 0, 0.0
    for z, labels in slabs(segmented.labels):
        inside = labels > 0
        voxels, found = voxels + labels.size, found + int(inside.sum())
        probability = segmented.probability(labels, slice(z, z + len(labels)))
        if probability is not None:
            total += float(probability[inside].sum(dtype=np.float64))
    measures = {"foreground": found / voxels if voxels else 0.0}
    if segmented.probabilities is not None:
        measures["confidence"] = total / found if found else float("nan")
    return measures


def agreement(first: Segmented, second: Segmented) -> float:
    """Dice coefficient of what has any class; of two empty segmentations 1."""
    both = either = 0
    for z, labels in slabs(first.labels):
        a, b = labels > 0, np.asarray(second.labels[z : z + len(labels)]) > 0
        both, either = both + int((a & b).sum()), either + int(a.sum()) + int(b.sum())
    return 2 * both / either if either else 1.0


def require_shape(row: Row, image: Image, segmented: Segmented) -> None:
    """Raise WeftError where a segmentation is not that of the image."""
    if tuple(segmented.labels.shape) != image.shape:
        said, expected = (" × ".join(map(str, n)) for n in (segmented.labels.shape, image.shape))
        raise WeftError(f"{row.name}: its segmentation has {said} voxels (z × y × x), the image {expected}")


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
