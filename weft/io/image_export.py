"""Predicted masks of images as PNG files, under the names of the images, with a classes.txt.

The files hold ids as the masks of the images have them where a classes.txt said these, else 0, 1, …, and the colours of
the classes as a palette, so that what shows pictures shows them. Pixels that nothing was predicted of have the id
``ignore``. The folder can be read again as masks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.class_files import CLASSES, IGNORE, is_unlabelled
from weft.io.image_products import MASK
from weft.io.image_reading import RECORD
from weft.io.mask_colors import mask_colors
from weft.io.store import EventStore

#: Of the provenance of the predictions, what says how they came to be; the rest is of that one run.
_RECORD = ("weft", "commit", "config_hash", "model")


def export_masks(events: str | Path, predictions: str | Path, folder: str | Path) -> list[Path]:
    """Write the predicted masks to a folder; each file appears whole or not at all.

    Args:
        events: the event store that the masks were predicted of; images without a name are called after run, subrun and
            event.
        predictions: the store made of it.
        folder: where the files go, which replace those of the same name.

    Returns:
        The files, masks first.

    Raises:
        WeftError: stores that do not belong together, no masks, or two images of one name.
    """
    folder = Path(folder)
    with EventStore.open({"truth": events, "prediction": predictions}) as store:
        if f"prediction/{MASK.name}" not in store:
            found = ", ".join(store.files["prediction"].schemas)
            raise WeftError(f"{predictions}: no masks, which alone become PNG; it holds {found}")
        codes = store[f"prediction/{MASK.name}"].schema.codes["class"]
        classes = [codes[k] for k in sorted(codes)]
        said = store.files["truth"].provenance.get("source", {}).get("classes", {})
        ids, ignored = _ids(classes, {int(k): name for k, name in said.items()})
        record = {key: value for key, value in store.files["prediction"].provenance.items() if key in _RECORD}
        written = []
        for row, name in enumerate(_names(store, events)):
            mask = np.asarray(store[f"prediction/{MASK.name}"][row])
            about = {**record, "event": [int(store.events[row][part]) for part in ("run", "subrun", "event")]}
            written.append(_write(folder / f"{name}.png", np.append(ids, ignored)[mask], ids, about))
    lines = [f"{k} {name}\n" for k, name in zip(ids.tolist(), classes, strict=True)] + [f"{ignored} {IGNORE}\n"]
    with atomic_path(folder / CLASSES) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return [*written, folder / CLASSES]


def _ids(classes: Sequence[str], said: Mapping[int, str]) -> tuple[np.ndarray, int]:
    """The id in the files of each class, and that of pixels without one."""
    of_name = {name: k for k, name in said.items()}
    known = all(name in of_name for name in classes)
    ids = np.array([of_name[name] for name in classes] if known else range(len(classes)), np.int64)
    ignored = [k for k, name in said.items() if known and is_unlabelled(name) and name not in classes]
    return ids, ignored[0] if ignored else next(k for k in (255, *range(65536)) if k not in ids)


def _names(store: EventStore, events: str | Path) -> list[str]:
    if "truth/origin" not in store:
        return ["_".join(str(row[part]) for part in ("run", "subrun", "event")) for row in store.events]
    codes = store["truth/origin"].schema.codes["image"]
    names = [codes[int(store["truth/origin"][row]["image"][0])] for row in range(len(store))]
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise WeftError(f"{events}: two images are called {twin}: their files would have one name")
    return names


def _write(path: Path, mask: np.ndarray, ids: np.ndarray, about: Mapping[str, object]) -> Path:
    said = PngInfo()
    said.add_text(RECORD, json.dumps(about))
    with atomic_path(path) as temporary:
        if max(int(mask.max(initial=0)), int(ids.max())) > 255:
            Image.fromarray(mask.astype(np.uint16)).save(temporary, "PNG", pnginfo=said)
            return path
        palette = np.zeros((256, 3), np.uint8)
        palette[ids] = mask_colors(len(ids))
        image = Image.fromarray(mask.astype(np.uint8))
        image.putpalette(palette.ravel().tolist())
        image.save(temporary, "PNG", pnginfo=said)
    return path
