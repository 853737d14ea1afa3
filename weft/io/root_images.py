"""Images, channel status and other small trees of LArCV files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import awkward as ak
import numpy as np

from weft.errors import WeftError
from weft.io.products import Column, Schema
from weft.io.root_tree import Tree, reading
from weft.io.wire_products import image_meta

Encode = Callable[[str, str, Sequence[str]], np.ndarray]


def _structured(name: str, rows: Sequence[tuple[str, str, str, str]], description: str) -> Schema:
    dtype = np.dtype([(n, t) for n, t, _, _ in rows])
    return Schema(name, "table", dtype, tuple(Column(n, u, d) for n, _, u, d in rows), description=description)


class Images:
    """``image2d``: dense float32 (planes, rows, cols), row 0 at the lower edge, and a table of their metas.

    LArCV stores pixels column by column. Planes of different sizes are padded with zeros at the upper ends; the metas
    give the true sizes. Both layouts of the meta are read: corners ``_p1, _p2``, or ``_origin`` with ``_width`` and
    ``_height``. In files of ours (`weft.io.root_planes`) the images of an event lie end to end, ``_n`` are their sizes.

    With `backward` row 0 of the file is at the upper edge, and so is ``_origin`` (LArCV 1: the left top corner).
    """

    def __init__(self, tree: Tree, name: str, backward: bool = False) -> None:
        self.name, self.where, self.tree, self.backward = name, tree.where, tree, backward
        self.pixels = tree.column("image_v.img")
        self.sizes = tree.column("image_v.n") if "image_v.n" in tree else None
        self.schemas = [
            Schema(
                name, "dense", np.dtype("f4"), (Column("pixel", "", "as stored"),), description="plane, row, column"
            ),
            image_meta(f"{name}_meta"),
        ]

    def load(self, start: int, stop: int, encode: Encode) -> None:
        self._start = start
        self._pixels = self.pixels.read(start, stop)
        self._sizes = None if self.sizes is None else self.sizes.jagged(start, stop)
        self._rows = self._metas(start, stop)

    def _metas(self, start: int, stop: int) -> list[np.ndarray]:
        def member(*names: str) -> Any:
            return self.tree.column(*(f"image_v.meta.{n}" for n in names)).jagged(start, stop)

        rows, cols = member("row_count"), member("col_count")
        plane = member("plane", "id", "image_id")
        table = np.empty(len(rows.values), self.schemas[1].dtype)
        table["plane"], table["rows"], table["cols"] = plane.values, rows.values, cols.values
        if "image_v.meta.p1.x" in self.tree:
            for a in "xy":
                table[f"min_{a}"], table[f"max_{a}"] = member(f"p1.{a}").values, member(f"p2.{a}").values
        else:
            for a, size in (("x", "width"), ("y", "height")):
                table[f"min_{a}"] = member(f"origin.{a}").values
                if a == "y" and self.backward:
                    table["min_y"] -= member(size).values
                table[f"max_{a}"] = table[f"min_{a}"] + member(size).values
        return [table[a:b] for a, b in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)]

    def products(self, k: int) -> dict[str, Any]:
        metas = self._rows[k]
        with reading(f"{self.where}: entry {self._start + k}"):
            if self._sizes is None:
                flat = [ak.to_numpy(image) for image in self._pixels[k]]
            else:
                flat = _split(ak.to_numpy(self._pixels[k]), self._sizes[k], f"{self.where}: entry {self._start + k}")
        if len(flat) != len(metas):
            raise WeftError(f"{self.where}: entry {self._start + k}: {len(flat)} images and {len(metas)} metas")
        shape = (len(metas), int(metas["rows"].max(initial=0)), int(metas["cols"].max(initial=0)))
        image = np.zeros(shape, np.float32)
        for plane, (pixels, meta) in enumerate(zip(flat, metas, strict=True)):
            rows, cols = int(meta["rows"]), int(meta["cols"])
            if len(pixels) != rows * cols:
                raise WeftError(
                    f"{self.where}: entry {self._start + k}: image {plane} has {len(pixels)} pixels, its meta says "
                    f"{rows}×{cols}"
                )
            one = pixels.reshape(cols, rows).T
            image[plane, :rows, :cols] = one[::-1] if self.backward else one
        return {self.name: image, f"{self.name}_meta": metas}


def _split(values: np.ndarray, sizes: np.ndarray, where: str) -> list[np.ndarray]:
    """What lies end to end, in pieces of `sizes`."""
    if sizes.sum() != len(values):
        raise WeftError(f"{where}: sizes add up to {sizes.sum()}, the values are {len(values)}")
    return np.split(values, np.cumsum(sizes, dtype=np.int64)[:-1]) if len(sizes) else []


class ChannelStatus:
    """``chstatus``: a row per channel of every plane; 4 is good, −1 not present (LArCV's codes).

    In files of ours (`weft.io.root_planes`) the planes of an event lie end to end, ``_n`` are their channels.
    """

    def __init__(self, tree: Tree, name: str) -> None:
        self.name, self.where = name, tree.where
        self.flat = "status_m.n" in tree
        if self.flat:
            self.planes, self.sizes = tree.column("status_m.plane"), tree.column("status_m.n")
            self.values = tree.column("status_m.status_v")
        else:
            self.status = tree.column("status_m")
        rows = (
            ("plane", "i2", "", "number of the plane"),
            ("channel", "i4", "", "wire of the plane"),
            ("status", "i2", "", "LArCV status code"),
        )
        codes = {
            "status": {
                -2: "negative_pedestal", -1: "not_present", 0: "disconnected", 1: "dead", 2: "low_noise",
                3: "noisy", 4: "good", 5: "unknown",
            }
        }  # fmt: skip
        plain = _structured(name, rows, "status of each wire")
        self.schemas = [Schema(name, "table", plain.dtype, plain.columns, codes=codes, description=plain.description)]

    def load(self, start: int, stop: int, encode: Encode) -> None:
        self._start = start
        if self.flat:
            self._planes, self._sizes = self.planes.jagged(start, stop), self.sizes.jagged(start, stop)
            self._values = self.values.jagged(start, stop)
            return
        with reading(self.status.where):
            self._events = self.status.read(start, stop).to_list()

    def _event(self, k: int) -> list[tuple[int, Any]]:
        """Plane and status of its channels."""
        if not self.flat:
            return [(int(plane), record["_status_v"]) for plane, record in self._events[k]]
        pieces = _split(self._values[k], self._sizes[k], f"{self.where}: entry {self._start + k}")
        return list(zip(self._planes[k].tolist(), pieces, strict=True))

    def products(self, k: int) -> dict[str, Any]:
        planes = sorted(self._event(k), key=lambda entry: entry[0])
        table = np.empty(sum(len(status) for _, status in planes), self.schemas[0].dtype)
        table["plane"] = np.repeat([p for p, _ in planes], [len(s) for _, s in planes])
        table["channel"] = np.concatenate([np.empty(0, np.int32), *(np.arange(len(s)) for _, s in planes)])
        table["status"] = np.concatenate([np.empty(0, np.int16), *(np.array(s, np.int16) for _, s in planes)])
        return {self.name: table}


class SparseImages:
    """``sparseimg``: a row per pixel: image, row, column and the features."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.name, self.where = name, tree.where
        self.pixels, self.features = tree.column("image_v.pixelarray"), tree.column("image_v.nfeatures")
        self.number = self._number(tree.entries)
        rows = [("image", "i2", "", "image of the entry"), ("row", "i4", "", "row"), ("col", "i4", "", "column")]
        rows += [(f"feature{f}", "f4", "", "as stored") for f in range(self.number)]
        self.schemas = [_structured(name, rows, "pixels of sparse images")]

    def _number(self, entries: int) -> int:
        """Features per pixel, the same in all entries of a file."""
        found = np.unique(self.features.jagged(0, entries).values)
        if len(found) > 1:
            raise WeftError(f"{self.where}: images have {found.tolist()} features, expected one number for all")
        return int(found[0]) if len(found) else 0

    def load(self, start: int, stop: int, encode: Encode) -> None:
        self._start = start
        self._pixels = self.pixels.read(start, stop)

    def products(self, k: int) -> dict[str, Any]:
        with reading(f"{self.where}: entry {self._start + k}"):
            images = [ak.to_numpy(image) for image in self._pixels[k]]
        width = 2 + self.number
        if any(len(image) % width for image in images):
            raise WeftError(f"{self.where}: entry {self._start + k}: pixel arrays are no multiple of {width} long")
        images = [image.reshape(-1, width) for image in images]
        table = np.empty(sum(map(len, images)), self.schemas[0].dtype)
        pixels = np.concatenate(images) if images else np.empty((0, width), np.float32)
        table["image"] = np.repeat(np.arange(len(images)), [len(image) for image in images])
        table["row"], table["col"] = pixels[:, 0], pixels[:, 1]
        for f in range(self.number):
            table[f"feature{f}"] = pixels[:, 2 + f]
        return {self.name: table}


class ObjectTable:
    """Any vector of objects (``neutrino``): a row per object, a column per plain number that it has, as stored."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.name = name
        self.columns = {}
        rows = []
        for member in tree.members:
            column = tree.column(member)
            kind = getattr(getattr(column.branch.interpretation, "content", None), "to_dtype", None)
            if "." in member and kind is not None and kind.kind in "iuf" and kind.shape == ():
                label = member.partition(".")[2].replace(".", "_")
                self.columns[label] = column
                rows.append((label, kind.newbyteorder("<").str, "", "as stored"))
        if not rows:
            raise WeftError(f"{tree.where}: no vector of objects with plain numbers; it has {', '.join(tree.members)}")
        self.schemas = [_structured(name, rows, f"objects of {tree.name}")]

    def load(self, start: int, stop: int, encode: Encode) -> None:
        self._columns = {label: column.jagged(start, stop) for label, column in self.columns.items()}

    def products(self, k: int) -> dict[str, Any]:
        first = next(iter(self._columns.values()))
        table = np.empty(len(first[k]), self.schemas[0].dtype)
        for label, column in self._columns.items():
            table[label] = column[k]
        return {self.name: table}
