"""Which stacks there are to curate: images of a folder or of event stores, each with its segmentations and masks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft.errors import WeftError
from weft.io.stack_files import ENDINGS, stem, tiffs_in
from weft.io.store import EventStore
from weft.io.tiff import TiffStack
from weft.volumes.curation.masks import POLYGONS
from weft.volumes.curation.places import STORE, Place
from weft.volumes.curation.table import Row

#: Products of a row, the first needed.
KINDS = ("segmentation", "segmentation_2", "excluding_mask", "merging_mask")


def of_stores(images: Sequence[Path], segmentations: Sequence[Path] = (), others: Sequence[Path] = ()) -> list[Row]:
    """A row for each event of stores of images.

    Args:
        images: event stores with `image`.
        segmentations: stores of predictions of the same events, one for each; none: the labels of the images' stores.
        others: a second segmentation.

    Raises WeftError where the stores do not belong together.
    """
    for what in (segmentations, others):
        if what and len(what) != len(images):
            raise WeftError(f"{len(what)} stores of segmentations for {len(images)} of images: expected one for each")
    rows = []
    for k, path in enumerate(images):
        named = {"truth": path}
        named |= {"segmentation": segmentations[k]} if segmentations else {}
        named |= {"segmentation_2": others[k]} if others else {}
        with EventStore.open(named) as store:
            order = {name: {uid: i for i, uid in enumerate(file.events["uid"])} for name, file in store.files.items()}
            origins = _origins(store, path)
            for i, uid in enumerate(store.events["uid"]):
                at = {name: Place(named[name], order[name][uid]) for name in named}
                first = at.get("segmentation", at["truth"])
                rows.append(
                    Row(*origins[i], raw=at["truth"], segmentation=first, segmentation_2=at.get("segmentation_2"))
                )
    count = Counter((row.image, row.time) for row in rows)
    # Images of one name in several stores are told apart by these.
    twice = {image for (image, _), number in count.items() if number > 1}
    return [replace(row, image=f"{_path(row).stem}/{row.image}") if row.image in twice else row for row in rows]


def _path(row: Row) -> Path:
    assert row.raw is not None
    return row.raw.path


def _origins(store: EventStore, path: Path) -> list[tuple[str, int | None]]:
    """Name and time point of each event; a time point only where an image has several."""
    if "origin" not in store:
        return [(f"{path.stem}-{i:04d}", None) for i in range(len(store))]
    names = store.products["origin"].codes["image"]
    said = [store["origin"][i] for i in range(len(store))]
    several = {int(row["image"][0]) for row in said if row["time"][0] > 0}
    pairs = [(int(row["image"][0]), int(row["time"][0])) for row in said]
    return [(names[image], time if image in several else None) for image, time in pairs]


def of_folder(folder: Path, places: dict[str, str]) -> list[Row]:
    """A row for each image of a folder, for each of its time points.

    places: where segmentations and masks lie, by name of `KINDS`: an ending (``_struct_segmentation``), or a path seen
    from the folder in which ``{name}`` is that of the image (``../masks/{name}.geojson``).

    Raises WeftError where there is no image, or one without a segmentation.
    """
    files = tiffs_in(folder) if folder.is_dir() else [folder]
    if not folder.exists():
        raise WeftError(f"{folder}: no such file or folder")
    beside = {file: {kind: _beside(file, said) for kind, said in places.items()} for file in files}
    others = {path for found in beside.values() for path in found.values() if path is not None}
    rows = []
    for file in files:
        if file in others:
            continue
        found = {kind: path for kind, path in beside[file].items() if path is not None}
        for kind in ("segmentation", "segmentation_2"):
            if kind in places and kind not in found:
                raise WeftError(f"{file}: has no {kind}: expected {_candidates(file, places[kind])[0]}")
        with TiffStack(file) as stack:
            times = stack.shape[0]
        for time in range(times):
            at: dict[str, Any] = {kind: Place(path, time) for kind, path in found.items()}
            rows.append(Row(stem(file), time if times > 1 else None, Place(file, time), **at))
    if not rows:
        raise WeftError(f"{folder}: no image that ends in {', '.join(ENDINGS)}")
    return rows


def of(images: Path, places: dict[str, str]) -> list[Row]:
    """Of a folder or a file as `of_folder`; of a store as `of_stores`, the places being other stores."""
    if images.suffix != STORE:
        if "segmentation" not in places:
            raise WeftError(
                f"{images}: where are its segmentations? Give --segmentation, an ending or a path with {{name}}"
            )
        return of_folder(images, places)
    if "excluding_mask" in places or "merging_mask" in places:
        raise WeftError(f"{images}: masks of the events of a store are named in a table of decisions")
    several = {kind: [Path(said)] for kind, said in places.items()}
    return of_stores([images], several.get("segmentation", ()), several.get("segmentation_2", ()))


def _beside(image: Path, said: str) -> Path | None:
    return next((path for path in _candidates(image, said) if path.is_file() and path != image), None)


def _candidates(image: Path, said: str) -> list[Path]:
    if said.lower().endswith((*ENDINGS, *POLYGONS)):
        if "{name}" in said or "/" in said:
            return [Path(os.path.normpath(image.parent / said.replace("{name}", stem(image))))]
        return [image.with_name(stem(image) + said)]
    return [image.with_name(f"{stem(image)}{said}{ending}") for ending in (*ENDINGS, *POLYGONS)]
