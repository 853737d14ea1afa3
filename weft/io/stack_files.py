"""Which files belong together: an image with its labels, cost map and instances, by their names.

By default these lie beside the image under its name and an ending of theirs: ``img_001.ome.tif``,
``img_001_GT.ome.tif``, ``img_001_CM.ome.tif`` (specification §4), ``img_001_instances.ome.tif``. A dataset of another
layout says for each product another ending (``labels: _mask``), a path seen from the image in which ``{name}`` is its
name (``labels: ../masks/{name}.tif``), or null where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from weft.errors import WeftError

#: Endings of TIFF files, the longest first.
ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")
#: First bytes of a TIFF: classic and BigTIFF, either byte order.
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: What follows the image's name, by product.
SUFFIXES: Mapping[str, str] = {"labels": "_GT", "cost": "_CM", "instances": "_instances"}


class StackFiles(NamedTuple):
    """One image, and the files with what is known of it, by product."""

    name: str
    image: Path
    known: Mapping[str, Path]


def is_stacks(path: str | Path) -> bool:
    """Whether a path is a folder, or a TIFF file by its first bytes."""
    path = Path(path)
    if not path.is_file():
        return path.is_dir()
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def stem(path: str | Path) -> str:
    """Name of a file without its TIFF ending: ``img_001`` of ``img_001.ome.tif``."""
    name = Path(path).name
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def places(products: Mapping[str, str | None]) -> dict[str, str]:
    """Where each product lies, what is not said by default.

    Raises WeftError where a product is none of `SUFFIXES`.
    """
    for name in products:
        if name not in SUFFIXES:
            raise WeftError(f"products: a stack has no '{name}', only {', '.join(SUFFIXES)}")
    return {name: place for name, place in {**SUFFIXES, **products}.items() if place}


def find_stacks(source: str | Path, products: Mapping[str, str | None] | None = None) -> list[StackFiles]:
    """The images of a folder, sorted by name, or the one that is named; each with its other files.

    Raises:
        WeftError: no such path, no image, a label volume without its image, or two images of one name.
    """
    source, place = Path(source), places(products or {})
    if source.is_dir():
        files = tiffs_in(source)
        if not files:
            raise WeftError(f"{source}: no file ends in {', '.join(ENDINGS)}")
        others = set(other_files(files, place))
        images = [file for file in files if file not in others]
    elif source.is_file():
        images = [source]
    else:
        raise WeftError(f"{source}: no such file or folder")
    for image in images:
        _require_image(image, place)
    if not images:
        raise WeftError(f"{source}: only labels, no image: expected names without {', '.join(place.values())}")
    found = [StackFiles(stem(image), image, _known(image, place)) for image in images]
    twin = next((a for a, b in pairwise(found) if a.name == b.name), None)
    if twin is not None:
        raise WeftError(f"{source}: two images are called {twin.name}")
    return found


def tiffs_in(folder: Path) -> list[Path]:
    """TIFF files of a folder, without those below it and hidden ones, by name."""
    found = [path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: (stem(path), path.name))


def other_files(files: Iterable[Path], place: Mapping[str, str]) -> list[Path]:
    """Those of the files that hold labels, costs or instances of another one of them."""
    files = list(files)
    known = {other for image in files for other in _known(image, place).values()}
    return [file for file in files if file in known]


def files_of(source: str | Path, products: Mapping[str, str | None] | None = None) -> list[Path]:
    """Every file that a conversion of `source` reads."""
    return [path for stack in find_stacks(source, products) for path in (stack.image, *stack.known.values())]


def _known(image: Path, place: Mapping[str, str]) -> dict[str, Path]:
    found = {}
    for product, said in place.items():
        for other in _candidates(image, said):
            if other != image and other.is_file():
                found[product] = other
                break
    return found


def _candidates(image: Path, said: str) -> list[Path]:
    if said.lower().endswith(ENDINGS):
        # Without the dots of ``../masks``, so that one file has one path.
        return [Path(os.path.normpath(image.parent / said.replace("{name}", stem(image))))]
    return [image.with_name(f"{stem(image)}{said}{ending}") for ending in ENDINGS]


def _require_image(path: Path, place: Mapping[str, str]) -> None:
    """Refuse a file that its name says is no image."""
    name = stem(path)
    for product, said in place.items():
        if not said.lower().endswith(ENDINGS) and name.endswith(said):
            image = name[: -len(said)]
            where = path.parent / f"{image}{ENDINGS[1]}"
            raise WeftError(f"{path}: by its name the {product} of an image {where}; name the image, or the folder")
