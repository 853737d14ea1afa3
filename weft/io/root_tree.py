"""LArCV-like ROOT files through uproot: trees by product, members by name, baskets read once.

LArCV writes class branches and we write flat ones; both name the members alike. Here a member has one plain name:
``_voxel_v._id`` is ``voxel_v.id`` and ``_meta._p1._x`` is ``meta.p1.x``, whichever branch holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from uproot.interpretation.jagged import AsJagged
from uproot.interpretation.numerical import AsDtype

from weft.errors import WeftError
from weft.io.products import Ragged

_TREE = re.compile(r"(?P<type>[a-z0-9]+)_(?P<producer>\w+)_tree")
RAW = AsJagged(AsDtype("u1"))


def plain_name(branch: str) -> str:
    """``a/b/_part_v._vtx._x`` → ``part_v.vtx.x``."""
    return re.sub(r"(^|\.)_", r"\1", branch.rpartition("/")[2])


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Whatever uproot raises on damaged bytes, as one line that says where."""
    try:
        yield
    except (WeftError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeftError(f"{where}: cannot be read (truncated or damaged?): {reason}") from error


class Column:
    """One branch, read in increasing ranges of entries; no basket is read twice and no more than needed is kept."""

    def __init__(self, branch: Any, where: str, interpretation: Any = None) -> None:
        self.branch, self.where = branch, where
        self._interpretation = interpretation
        self._array: Any = None
        self._start = self._stop = 0

    @property
    def typename(self) -> str:
        return str(self.branch.typename)

    def read(self, start: int, stop: int) -> Any:
        """Entries start to stop as an awkward array."""
        if self._array is None or not self._start <= start <= self._stop:
            self._array, self._start, self._stop = None, start, start
        if stop > self._stop:
            ends = self.branch.entry_offsets
            end = next((e for e in ends if e >= stop), stop)
            with reading(self.where):
                fresh = self.branch.array(self._interpretation, entry_start=self._stop, entry_stop=end, library="ak")
            if self._array is not None and start < self._stop:
                # Packed: a slice of an awkward array still holds all of its content.
                fresh = ak.concatenate([ak.to_packed(self._array[start - self._start :]), fresh])
            self._array = fresh
            self._start, self._stop = start, end
        return self._array[start - self._start : stop - self._start]

    def flat(self, start: int, stop: int) -> np.ndarray:
        """One number per entry."""
        with reading(self.where):
            return ak.to_numpy(self.read(start, stop))

    def jagged(self, start: int, stop: int) -> Ragged:
        """Several numbers per entry."""
        array = self.read(start, stop)
        with reading(self.where):
            counts = ak.to_numpy(ak.num(array)) if len(array) else np.zeros(0, np.int64)
            values = ak.to_numpy(ak.flatten(array)) if len(array) else np.zeros(0)
        offsets = np.zeros(len(array) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        return Ragged(values, offsets)


class Tree:
    """The tree of one product."""

    def __init__(self, path: Path, tree: Any, kind: str, producer: str) -> None:
        self.path, self.tree, self.type, self.producer = path, tree, kind, producer
        self.name = f"{kind}_{producer}"
        self.where = f"{path}: {self.name}_tree"
        self.entries = int(tree.num_entries)
        with reading(self.where):
            self._branches = {
                plain_name(name): branch
                for name, branch in tree.iteritems(recursive=True)
                if not branch.branches or len(branch.branches) == 0
            }
        self._columns: dict[str, Column] = {}

    @property
    def members(self) -> list[str]:
        return list(self._branches)

    def __contains__(self, name: str) -> bool:
        return name in self._branches

    def column(self, *names: str, raw: bool = False) -> Column:
        """The first of `names` that the tree has.

        Raises WeftError where it has none of them.
        """
        for name in names:
            if name in self._branches:
                if name not in self._columns:
                    self._columns[name] = Column(self._branches[name], f"{self.where}: {name}", RAW if raw else None)
                return self._columns[name]
        raise WeftError(f"{self.where}: no member {' or '.join(names)}; it has {', '.join(self.members)}")

    def members_of(self, prefix: str) -> list[str]:
        """Members of the objects of a vector: what follows ``<prefix>.``."""
        return [name.removeprefix(f"{prefix}.") for name in self._branches if name.startswith(f"{prefix}.")]

    @property
    def bytes_per_entry(self) -> float:
        return self.tree.uncompressed_bytes / max(self.entries, 1)

    def numbers(self) -> np.ndarray:
        """int64 (entries, 3): run, subrun, event."""
        columns = [self.column(name).flat(0, self.entries) for name in ("run", "subrun", "event")]
        return np.stack(columns, 1).astype(np.int64)


def _stated_size(path: Path) -> int:
    """Length of a ROOT file by its own header (``fEND``; 8 bytes long in large files)."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"root":
        return 20
    large = int.from_bytes(head[4:8], "big") >= 1_000_000
    return int.from_bytes(head[12 : 20 if large else 16], "big")


class RootFile:
    """An open file and its product trees; context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise WeftError(f"{path}: no such file")
        stated, found = _stated_size(path), path.stat().st_size
        if stated > found:
            raise WeftError(f"{path}: truncated: {found:,} of {stated:,} bytes are there; copy the file again")
        # Plain reads and no cache: mapped pages and cached arrays would count as memory that grows with the file.
        options = {"handler": uproot.MultithreadedFileSource, "num_workers": 1, "array_cache": None}
        with reading(str(path)):
            self.file = uproot.open(path, **options)
        self.trees: dict[str, Tree] = {}
        self.others: dict[str, str] = {}
        with reading(str(path)):
            for name, class_name in self.file.classnames(cycle=False, recursive=False).items():
                match = _TREE.fullmatch(name)
                if class_name == "TTree" and match:
                    tree = Tree(path, self.file[name], match["type"], match["producer"])
                    self.trees[tree.name] = tree
                else:
                    self.others[name] = class_name

    @property
    def streamers(self) -> Any:
        return self.file.file.streamers

    @property
    def uuid(self) -> str:
        return str(self.file.file.uuid)

    def text(self, key: str) -> str | None:
        """A string object of the file, such as the tables of coded columns."""
        if key not in self.others:
            return None
        with reading(f"{self.path}: {key}"):
            return str(self.file[key])

    def __enter__(self) -> RootFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
