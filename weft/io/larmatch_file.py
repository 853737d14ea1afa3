"""Training files of LArMatch's second generation: ROOT trees ``larmatchtrainingdata`` (specs/larmatch.md §7).

Each branch is a vector of arrays, ``ndims``, ``shape`` and ``data``, split into three: ``coord_v`` (row, column) and
``feat_v`` (charge) of the three planes' pixels, ``matchtriplet_v`` (rows of them), and labels of the triplets. (Written
by larmatchnet/data_prep/make_larmatch_training_data_from_tripletfile.py of github.com/NuTufts/larflow.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weft.detector.wires import PLANES, Detector, Tpc
from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.root_tree import Column, RootFile, Tree
from weft.io.split_vectors import read_split_vectors
from weft.io.triplet_labels import LABEL_CLASSES, TRIPLET_LABELS
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET, PIXELS, TRIPLET_TRUTH, TRIPLETS, UNKNOWN_TRIPLET

TREE = "larmatchtrainingdata"

#: What these files call a pixel; those of less charge are of dead wires.
_THRESHOLD = 10.0
#: Good triplets are those up to here from the truth where a file has soft labels alone: 0.99 within 3 wires, 0.95 at 4.
_SOFT_GOOD = 0.97

#: Arrays per triplet: name, type, width; the weights that balance classes are left out, they follow from the labels.
_LABELS: Mapping[str, tuple[str, int]] = {
    "larmatch_truth_v": ("i4", 1),
    "larmatch_label_v": ("f4", 1),
    "ssnet_truth_v": ("i4", 1),
    "ssnet_top_weight_v": ("f4", 1),
    "kp_truth_v": ("f4", len(KEY_POINT_KINDS)),
}
_BALANCE = ("larmatch_weight_v", "ssnet_class_weight_v", "ssnet_weight_v", "kp_weight_v")


class _Arrays:
    """A branch of arrays, read entry by entry."""

    def __init__(self, tree: Tree, name: str, dtype: str) -> None:
        self.where, self.dtype = f"{tree.where}: {name}", np.dtype(dtype)
        self._ndims = tree.column(f"{name}.ndims")
        self._shape, self._data = (tree.column(f"{name}.{part}", raw=True) for part in ("shape", "data"))

    def read(self, entry: int) -> list[np.ndarray]:
        where = f"{self.where}: entry {entry}"
        ndims = self._ndims.jagged(entry, entry + 1)[0]
        try:
            shapes = read_split_vectors(_bytes(self._shape, entry), len(ndims), np.dtype("i4"))
            values = read_split_vectors(_bytes(self._data, entry), len(ndims), self.dtype)
        except WeftError as error:
            raise WeftError(f"{where}: {error}") from None
        found = []
        for dimensions, shape, flat in zip(ndims.tolist(), shapes, values, strict=True):
            if len(shape) != dimensions or (shape < 0).any() or int(np.prod(shape, dtype=np.int64)) != len(flat):
                raise WeftError(
                    f"{where}: {len(flat)} numbers for the shape {shape.tolist()} of {dimensions} dimensions"
                )
            found.append(flat.reshape(shape))
        return found


def _bytes(column: Column, entry: int) -> np.ndarray:
    return column.jagged(entry, entry + 1).values


class LarmatchSource:
    """A source of events, see `weft.io.convert.Source`: `pixels`, `triplets`, their truth and their labels.

    Args:
        detector: where the wires are; positions of triplets are made with it, which the files have not. Events cannot
            be read without one.
    """

    kind = "larmatch"
    schemas = (PIXELS, TRIPLETS, TRIPLET_TRUTH, TRIPLET_LABELS)

    def __init__(self, path: Path, products: Mapping[str, str | None], detector: Detector | None) -> None:
        if products:
            raise WeftError(f"{path}: products of {TREE} have fixed names, none can be chosen or left out")
        if detector is not None and len(detector.tpcs) != 1:
            raise WeftError(f"{path}: {TREE} is of one drift volume, {detector.name} has {len(detector.tpcs)}")
        self.detector, self.path = detector, path
        self.file = RootFile(path)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        tree = Tree(self.path, self.file.file[TREE], TREE, "")
        self._tree = tree
        tree.where = f"{self.path}: {TREE}"
        self.entries = tree.entries
        self._coord, self._feat = _Arrays(tree, "coord_v", "i4"), _Arrays(tree, "feat_v", "f4")
        self._match = _Arrays(tree, "matchtriplet_v", "i4")
        self._labels = {n: _Arrays(tree, n, kind) for n, (kind, _) in _LABELS.items() if f"{n}.data" in tree}
        self.skipped = {n: "balances classes; follows from the labels" for n in _BALANCE if f"{n}.data" in tree}
        self._notes: Counter[str] = Counter()

    @property
    def about(self) -> dict[str, Any]:
        name = None if self.detector is None else self.detector.name
        return {"uuid": self.file.uuid, "detector": name, "labels": sorted(self._labels)}

    @property
    def notes(self) -> dict[str, Any]:
        return {name: count for name, count in self._notes.items() if count}

    def numbers(self) -> np.ndarray:
        return self._tree.numbers()

    def events(
        self, start: int, stop: int, encode: Callable[[str, str, Sequence[str]], np.ndarray]
    ) -> Iterator[dict[str, Any]]:
        if self.detector is None:
            raise WeftError(f"{self.path}: {TREE} has no positions; say of which detector it is: --detector microboone")
        for entry in range(start, stop):
            yield self._event(entry, self.detector)

    def _event(self, entry: int, detector: Detector) -> dict[str, Any]:
        where = f"{self._tree.where}: entry {entry}"
        tpc = detector.tpcs[0]
        pixels, place = self._pixels(where, entry, detector)
        match = self._one(self._match, where, entry, PLANES)
        for p in range(PLANES):
            if len(match) and not 0 <= match[:, p].min() <= match[:, p].max() < len(place[p]):
                raise WeftError(
                    f"{where}: matchtriplet_v names pixels {match[:, p].min()} to {match[:, p].max()} of plane {p}, "
                    f"which has {len(place[p])}"
                )
        members = np.stack([place[p][match[:, p]] for p in range(PLANES)], axis=1) if len(match) else match
        row = pixels["row"][members]
        wrong = np.flatnonzero((row != row[:, :1]).any(axis=1))
        if len(wrong):
            raise WeftError(
                f"{where}: matchtriplet_v: pixels of triplet {wrong[0]} are in rows {row[wrong[0]].tolist()}, "
                "expected one row"
            )
        labels = {name: self._label(name, where, entry, len(match)) for name in _LABELS}
        good = _good(labels["larmatch_truth_v"], labels["larmatch_label_v"])
        wires = pixels["wire"][members]
        # The same triplet twice, through copies of a dead pixel, is kept once, as good if either is.
        order = np.lexsort([-good, *wires.T[::-1], row[:, 0]]) if len(match) else np.zeros(0, np.int64)
        same = np.zeros(len(order), bool)
        same[1:] = (members[order][1:] == members[order][:-1]).all(axis=1)
        self._notes["triplets that were there twice"] += int(same.sum())
        order = order[~same]
        return {
            "pixels": pixels,
            "triplets": _triplets(tpc, members[order], wires[order], row[order, 0] if len(order) else order),
            "triplet_truth": _truth(good[order]),
            "triplet_labels": _label_rows({name: values[order] for name, values in labels.items()}, good[order]),
        }

    def _one(self, arrays: _Arrays, where: str, entry: int, width: int) -> np.ndarray:
        """The only array of an entry, (n, width) or (n,)."""
        found = arrays.read(entry)
        name = arrays.where.rpartition(" ")[2]
        if len(found) != 1:
            raise WeftError(f"{where}: {name} has {len(found)} arrays, expected one")
        expected = (width,) if width > 1 else ()
        if found[0].shape[1:] != expected and found[0].size:
            raise WeftError(
                f"{where}: {name} has shape {found[0].shape}, expected ({', '.join(['n', *map(str, expected)])})"
            )
        return found[0] if found[0].size else np.zeros((0, *expected), arrays.dtype)

    def _label(self, name: str, where: str, entry: int, number: int) -> np.ndarray:
        """Of each triplet, NaN or −1 where the file has none; some files have arrays that were left empty."""
        kind, width = _LABELS[name]
        shape = (number, width) if width > 1 else (number,)
        unknown = np.full(shape, -1 if kind == "i4" else np.nan, kind)
        if name not in self._labels:
            return unknown
        found = self._one(self._labels[name], where, entry, width)
        if len(found) == 0 and number:
            self._notes[f"events with no {name}"] += 1
            return unknown
        if len(found) != number:
            raise WeftError(f"{where}: {name} has {len(found)} rows, matchtriplet_v has {number}")
        return found

    def _pixels(self, where: str, entry: int, detector: Detector) -> tuple[np.ndarray, list[np.ndarray]]:
        """`PIXELS`, and the row in them of each pixel of the three planes."""
        coords, charges = self._coord.read(entry), self._feat.read(entry)
        if len(coords) != PLANES or len(charges) != PLANES:
            raise WeftError(f"{where}: coord_v has {len(coords)} planes and feat_v {len(charges)}, expected {PLANES}")
        planes, place, before = [], [], 0
        for p, (coord, charge) in enumerate(zip(coords, charges, strict=True)):
            coord = coord.reshape(-1, 2) if coord.size == 0 else coord
            if coord.ndim != 2 or coord.shape[1] != 2 or charge.size != len(coord):
                raise WeftError(f"{where}: plane {p} has pixels {coord.shape} and charges {charge.shape}")
            tpc = detector.tpcs[0]
            sizes = tpc.readout.rows, tpc.planes[p].wires
            if len(coord) and ((coord < 0).any() or (coord >= sizes).any()):
                raise WeftError(
                    f"{where}: plane {p} has pixels up to row {coord[:, 0].max()}, wire {coord[:, 1].max()}; "
                    f"{detector.name} has {sizes[0]} rows and {sizes[1]} wires there"
                )
            number = coord[:, 0].astype(np.int64) * sizes[1] + coord[:, 1]
            distinct, first, inverse, count = np.unique(
                number, return_index=True, return_inverse=True, return_counts=True
            )
            live = charge.ravel() >= _THRESHOLD
            if (count[inverse] > 1)[live].any():
                which = coord[live & (count[inverse] > 1)][0]
                raise WeftError(f"{where}: plane {p} has the pixel of row {which[0]}, wire {which[1]} twice")
            self._notes["pixels of dead wires that were there twice"] += len(number) - len(distinct)
            pixels = np.zeros(len(distinct), PIXELS.dtype)
            pixels["plane"] = p
            pixels["row"], pixels["wire"] = np.divmod(distinct, sizes[1])
            pixels["dead"] = ~live[first]
            pixels["charge"] = np.where(live[first], charge.ravel()[first], 0)
            planes.append(pixels)
            place.append(before + inverse.reshape(-1))
            before += len(pixels)
        return np.concatenate(planes), place

    def close(self) -> None:
        self.file.file.close()


def _good(truth: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """int8 (n,): by the truth where there is one, else by soft labels."""
    good = np.where(soft > _SOFT_GOOD, GOOD_TRIPLET, GHOST_TRIPLET)
    good = np.where(np.isnan(soft), UNKNOWN_TRIPLET, good)
    return np.where(truth >= 0, np.where(truth > 0, GOOD_TRIPLET, GHOST_TRIPLET), good).astype(np.int8)


def _triplets(tpc: Tpc, members: np.ndarray, wires: np.ndarray, row: np.ndarray) -> np.ndarray:
    triplets = np.zeros(len(members), TRIPLETS.dtype)
    position = tpc.position(wires, row)
    for p in range(PLANES):
        triplets[f"pixel_{p}"] = members[:, p]
    for axis, name in enumerate("xyz"):
        triplets[name] = position[:, axis]
    return triplets


def _truth(good: np.ndarray) -> np.ndarray:
    """`TRIPLET_TRUTH`: how much charge a good one has, and of whom, is not in the files."""
    truth = np.zeros(len(good), TRIPLET_TRUTH.dtype)
    truth["good"], truth["particle"], truth["class"] = good, -1, -1
    for name in ("electrons", "energy"):
        truth[name][good != GHOST_TRIPLET] = np.nan
    return truth


def _label_rows(labels: Mapping[str, np.ndarray], good: np.ndarray) -> np.ndarray:
    """`TRIPLET_LABELS`; semantic classes 1 to 6 are ours from 0 on, 0 is the background, which has none."""
    rows = np.zeros(len(good), TRIPLET_LABELS.dtype)
    rows["soft"] = labels["larmatch_label_v"]
    for k, kind in enumerate(KEY_POINT_KINDS):
        rows[f"key_{kind}"] = labels["kp_truth_v"][:, k]
    classes = labels["ssnet_truth_v"].astype(np.int64) - 1
    if len(classes) and classes.max() >= len(LABEL_CLASSES):
        raise WeftError(f"ssnet_truth_v has class {classes.max() + 1}, expected 0 to {len(LABEL_CLASSES)}")
    rows["class"] = np.where((classes >= 0) & (good == GOOD_TRIPLET), classes, -1)
    weight = labels["ssnet_top_weight_v"]
    rows["weight"] = np.where(np.isfinite(weight) & (rows["class"] >= 0), weight, 1)
    return rows
