"""Which files belong together: an image and its mask, by where they lie and what they are called.

By default the mask of ``images/train/street_01.jpg`` is ``masks/train/street_01.png``; where there is none such,
``street_01_mask.png`` beside it. A dataset of another layout gives a path seen from the image, in
which ``{name}`` is its name (``mask: ../labels/{name}.png``), another ending (``mask: _labels``), or null where there
are no masks. ``classes.txt`` (`weft.io.class_files`) lies beside the folder ``images``, or beside the images.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from weft.errors import WeftError
from weft.io.class_files import CLASSES

#: Endings of files that are images.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
#: Endings of files of images; TIFF only where images are asked for, since it may be a stack.
ENDINGS = (*PICTURES, ".tif", ".tiff")
_OTHERS = (*ENDINGS[len(PICTURES) :], ".ply", ".obj")
#: First bytes of such files, but for TIFF; of WebP bytes 8 to 12 say it.
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
IMAGES, MASKS, SUFFIX = "images", "masks", "_mask"


class ImageFiles(NamedTuple):
    """One image, and its mask where there is one."""

    name: str
    picture: Path
    mask: Path | None


def is_images(path: str | Path) -> bool:
    """Whether a path is an image by its first bytes (no TIFF), or a folder with some, or with a folder ``images``.

    Pictures beside stacks or meshes, such as textures, do not make a folder one of images.
    """
    path = Path(path)
    if path.is_dir():
        folders = [folder for folder in (path, path / IMAGES) if folder.is_dir()]
        return any(_in(folder, PICTURES) and not _in(folder, _OTHERS) for folder in folders)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(12)
    return start.startswith(_MAGIC) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def find_images(source: str | Path, products: Mapping[str, str | None] | None = None) -> list[ImageFiles]:
    """The images of a folder, or of its folder ``images``, by name; or one image; each with its mask.

    Raises:
        WeftError: no image, two of one name, or a product that images do not have.
    """
    source, place = Path(source), _place(products or {})
    if source.is_dir():
        folder = source if _pictures(source, place) or not (source / IMAGES).is_dir() else source / IMAGES
        pictures = _pictures(folder, place)
    elif source.is_file():
        pictures = [source]
    else:
        raise WeftError(f"{source}: no such file or folder")
    if not pictures:
        raise WeftError(f"{source}: no image: expected files that end with {', '.join(ENDINGS)}")
    found = [ImageFiles(picture.stem, picture, _mask(picture, place)) for picture in pictures]
    twin = next((a for a, b in pairwise(found) if a.name == b.name), None)
    if twin is not None:
        raise WeftError(f"{source}: two images are called {twin.name}")
    return found


def masks_of_nobody(images: Sequence[ImageFiles], products: Mapping[str, str | None] | None = None) -> list[Path]:
    """Masks in the folder ``masks`` of the images that no image has the name of, as where they are called otherwise.

    Where `products` says another place, files of other pictures and of other kinds may lie there too.
    """
    place, taken = _place(products or {}), {image.mask for image in images} | {image.picture for image in images}
    if place != "":
        return []
    folders = {_candidates(image.picture, place)[0].parent for image in images}
    beside = {image.picture.parent for image in images}
    return sorted(
        path for folder in folders - beside if folder.is_dir() for path in _in(folder, ENDINGS) if path not in taken
    )


def files_of(source: str | Path, products: Mapping[str, str | None] | None = None) -> list[Path]:
    """Every file that a conversion of `source` reads."""
    found = find_images(source, products)
    files = [path for image in found for path in (image.picture, image.mask) if path is not None]
    classes = classes_file(found[0].picture)
    return files if classes is None else [*files, classes]


def other_files(files: Iterable[Path], products: Mapping[str, str | None]) -> list[Path]:
    """Those of the files that are masks of another one of them."""
    files, place = list(files), _place(products)
    masks = {_mask(picture, place) for picture in files}
    return [file for file in files if file in masks]


def classes_file(picture: Path) -> Path | None:
    """The ``classes.txt`` of an image: beside it, or beside the folder ``images`` that it lies in."""
    root = _images_folder(picture)
    folders = [picture.parent] if root is None else [picture.parent, root.parent]
    return next((folder / CLASSES for folder in folders if (folder / CLASSES).is_file()), None)


def _place(products: Mapping[str, str | None]) -> str | None:
    """Where masks lie: "" as by default, None nowhere."""
    for name in products:
        if name != "mask":
            raise WeftError(f"products: '{name}': images have masks only, expected mask")
    return products.get("mask", "")


def _in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files of a folder with such endings, without those below it and hidden ones, by name."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in endings and not path.name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: (path.stem, path.name))


def _pictures(folder: Path, place: str | None) -> list[Path]:
    found = _in(folder, ENDINGS)
    masks = {_mask(picture, place) for picture in found}
    return [picture for picture in found if picture not in masks]


def _images_folder(picture: Path) -> Path | None:
    """The innermost folder ``images`` above an image."""
    return next((folder for folder in picture.parents if folder.name == IMAGES), None)


def _mask(picture: Path, place: str | None) -> Path | None:
    if place is None:
        return None
    for path in _candidates(picture, place):
        if path.is_file() and path != picture:
            return path
    return None


def _candidates(picture: Path, place: str) -> list[Path]:
    root = _images_folder(picture)
    if Path(place).suffix.lower() in ENDINGS:
        # Without the dots of ``../masks``, so that one file has one path.
        return [Path(os.path.normpath(picture.parent / place.replace("{name}", picture.stem)))]
    beside = [picture.with_name(f"{picture.stem}{place or SUFFIX}{ending}") for ending in ENDINGS]
    if place or root is None:
        return beside
    folder = root.parent / MASKS / picture.parent.relative_to(root)
    return [*(folder / f"{picture.stem}{ending}" for ending in ENDINGS), *beside]
