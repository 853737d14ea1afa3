"""Folders of images as a source of `weft convert`: an image is an event, with its mask where there is one.

Pillow reads PNG, JPEG, BMP, WebP and TIFF. Pictures keep uint8, uint16 or float32; transparency is left out, colours
of a palette become red, green and blue, and a photograph is turned as its camera says. Masks hold ids of classes: grey
of 8 or 16 bits, or the numbers of a palette. With a ``classes.txt`` they become 0, 1, … in the order of its lines, and
ids of a name that is no class, such as ``ignore``, −1; without one they are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io import image_products
from weft.io.class_files import is_unlabelled, read_classes
from weft.io.image_files import ImageFiles, classes_file, find_images, masks_of_nobody
from weft.io.image_products import ORIGIN, UNKNOWN
from weft.io.image_reading import Head, is_turned, read_mask, read_picture, size_of
from weft.io.products import Schema


@dataclass(frozen=True)
class ImageReport:
    """One row of the table of `weft inspect`; `problems` are errors of the conversion, `warnings` may be meant.

    Of an image that cannot be read it has the name and the problem alone.
    """

    image: str
    size: tuple[int, int] | None = None
    channels: int | None = None
    dtype: str | None = None
    low: float | None = None
    high: float | None = None
    classes: Sequence[int] | None = None
    ignored: float | None = None
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class ImageSource:
    """Images of a folder, or one of them.

    Args:
        path: a folder with images, one with a folder ``images``, or an image.
        products: where masks lie, see `weft.io.image_files`.

    Attributes:
        files: all files that are read.
        images: the images and masks.
        classes: ``{id in the masks: name}`` of the classes.txt; None where there is none.

    Raises:
        WeftError: no image, pictures of different types, or masks none of which has the name of an image. A damaged
            file is named when it is converted, or in its row of the survey.
    """

    kind = "images"

    def __init__(self, path: str | Path, products: Mapping[str, str | None] | None = None) -> None:
        self.path = Path(path)
        self.images = find_images(self.path, products)
        self.entries = len(self.images)
        self.notes: dict[str, Any] = {}
        self.skipped: dict[str, str] = {}
        said = classes_file(self.images[0].picture)
        self.classes = None if said is None else read_classes(said)
        self.files = [path for image in self.images for path in (image.picture, image.mask) if path is not None]
        if said is not None:
            self.files.append(said)
        self._heads: dict[int, Head] = {}
        self._damaged: dict[int, str] = {}
        for entry, image in enumerate(self.images):
            try:
                self._heads[entry] = size_of(image.picture)
            except WeftError as error:
                self._damaged[entry] = str(error)
        types = {head.dtype: self.images[entry].picture.name for entry, head in self._heads.items()}
        if len(types) > 1:
            found = ", ".join(f"{name}: {dtype}" for dtype, name in types.items())
            raise WeftError(f"{self.path}: pictures of different types ({found}); make them one")
        self.dtype = np.dtype(next(iter(types), "u1"))
        self._masked = any(image.mask is not None for image in self.images)
        left = masks_of_nobody(self.images, products) if self.path.is_dir() else []
        if left and not self._masked:
            raise WeftError(
                f"{self.path}: no image has a mask, but there are {len(left)} in {left[0].parent}, such as "
                f"{left[0].name}; expected the names of the images, such as {self.images[0].name}.png, or say "
                "products: {mask: …}, null where there are none"
            )
        if left:
            self.notes["masks without an image"] = [path.name for path in left]
        self._number = _numbers(self.classes)

    @property
    def names_of_classes(self) -> list[str]:
        """Of 0, 1, … of the converted masks; empty where there is no classes.txt."""
        return [] if self.classes is None else [name for name in self.classes.values() if not is_unlabelled(name)]

    @property
    def schemas(self) -> Sequence[Schema]:
        made = [image_products.picture(self.dtype), ORIGIN]
        return [*made, image_products.mask(self.names_of_classes)] if self._masked else made

    @property
    def about(self) -> Mapping[str, Any]:
        images = {}
        for entry, head in self._heads.items():
            name, picture, mask = self.images[entry]
            images[name] = {"picture": picture.name, "mask": mask and mask.name, "size": list(head.size)}
        classes = {} if self.classes is None else {"classes": {str(k): name for k, name in self.classes.items()}}
        return {"images": images, **classes}

    def numbers(self) -> np.ndarray | None:
        """Run, subrun, event where the files are ours and say them."""
        said = [head.event for head in self._heads.values()]
        return None if self._damaged or any(one is None for one in said) else np.array(said, np.int64)

    def names(self) -> list[str]:
        """Who each event is, whatever other images lie beside it: folder and image."""
        return [f"{image.picture.absolute().parent.name}\0{image.name}" for image in self.images]

    def events(self, start: int, stop: int, encode: Any) -> Iterator[dict[str, Any]]:
        """Products of each entry. Raises WeftError where any picture of the source is damaged, before the first."""
        for why in self._damaged.values():
            raise WeftError(why)
        for entry in range(start, stop):
            image = self.images[entry]
            picture, remarks = read_picture(image.picture)
            if picture.dtype.kind == "f" and not np.isfinite(picture).all():
                raise WeftError(f"{image.picture}: {int((~np.isfinite(picture)).sum())} values are not finite")
            for remark in remarks:
                self.notes.setdefault(remark, []).append(image.name)
            products: dict[str, Any] = {
                "picture": picture,
                "origin": np.array([(encode("origin", "image", [image.name])[0],)], ORIGIN.dtype),
            }
            if self._masked:
                products["mask"] = self._mask(image, picture.shape[1:])
            yield products

    def _mask(self, image: ImageFiles, size: tuple[int, ...]) -> np.ndarray:
        if image.mask is None:
            self.notes.setdefault("without mask", []).append(image.name)
            return np.full(size, UNKNOWN, np.int16)
        ids = read_mask(image.mask)
        problems = _problems(image, ids, size, self.classes)
        if problems:
            raise WeftError(f"{image.mask}: {problems[0]}")
        if self._number is None:
            return ids.astype(np.int16)
        return self._number[ids]

    def survey(self, classes: int | None = None, smallest: Sequence[int] | None = None) -> Iterator[ImageReport]:
        """Look at all pixels of all images; one that cannot be read is a row that says why.

        Args:
            classes: of a network; without a classes.txt ids are below it.
            smallest: (rows, columns), or (slices, rows, columns), of the patches that an image must hold.
        """
        for image in self.images:
            try:
                picture, remarks = read_picture(image.picture)
            except WeftError as error:
                yield ImageReport(image.name, problems=(str(error).removeprefix(f"{image.picture}: "),))
                continue
            size = (int(picture.shape[1]), int(picture.shape[2]))
            problems, warnings = [], list(remarks)
            if picture.dtype.kind == "f" and not np.isfinite(picture).all():
                problems.append(f"{int((~np.isfinite(picture)).sum())} values are not finite")
            if smallest is not None and any(n < least for n, least in zip(size, tuple(smallest)[-2:], strict=True)):
                problems.append(f"{size[0]} × {size[1]} pixels, patches have {smallest[-2]} × {smallest[-1]}")
            ids = None
            if image.mask is None:
                warnings.append("no mask")
            else:
                try:
                    ids = read_mask(image.mask)
                except WeftError as error:
                    problems.append(f"mask: {str(error).removeprefix(f'{image.mask}: ')}")
            found = None if ids is None else np.unique(ids).tolist()
            if ids is not None:
                problems += _problems(image, ids, size, self.classes)
                if self.classes is None and classes is not None and max(found or [0]) >= classes:
                    problems.append(f"mask: id {max(found or [0])} of a network with {classes} classes")
            ignored = None
            if ids is not None and self.classes is not None:
                ignored = float(np.isin(ids, [k for k, name in self.classes.items() if is_unlabelled(name)]).mean())
            low, high = (float(picture.min()), float(picture.max())) if picture.size else (0.0, 0.0)
            if low == high:
                warnings.append(f"all values are {low:g}")
            yield ImageReport(
                image.name, size, int(picture.shape[0]), str(picture.dtype), low, high, found, ignored,
                tuple(problems), tuple(warnings),
            )  # fmt: skip

    def close(self) -> None:
        """Nothing stays open between events."""


def _numbers(classes: Mapping[int, str] | None) -> np.ndarray | None:
    """int16 [largest id + 1]: the class of each id of the masks."""
    if classes is None:
        return None
    number = np.full(max(classes) + 1, UNKNOWN, np.int16)
    kept = [k for k, name in classes.items() if not is_unlabelled(name)]
    number[kept] = np.arange(len(kept))
    return number


def _problems(image: ImageFiles, ids: np.ndarray, size: Sequence[int], classes: Mapping[int, str] | None) -> list[str]:
    """Why a mask cannot be used."""
    found = []
    if ids.shape != tuple(size):
        text = (
            f"a mask of {ids.shape[0]} × {ids.shape[1]} pixels (rows × columns), its image {image.picture.name} has "
            f"{size[0]} × {size[1]}"
        )
        if ids.shape == tuple(size)[::-1] and is_turned(image.picture):
            text += " once it is turned as its camera says; turn the mask likewise"
        found.append(text)
    present = np.unique(ids)
    if classes is not None:
        beyond = [int(k) for k in present if int(k) not in classes]
        if beyond:
            count = int(np.isin(ids, beyond).sum())
            some = ", ".join(map(str, beyond[:5])) + (", …" if len(beyond) > 5 else "")
            known = ", ".join(f"{k} {name}" for k, name in classes.items())
            found.append(f"ids {some} in {count} pixels are no classes; classes.txt has {known}")
    elif len(present) and int(present[-1]) > np.iinfo(np.int16).max:
        found.append(f"id {int(present[-1])}: at most {np.iinfo(np.int16).max} is kept")
    return found
