"""ROOT files of ours: LArCV's product and branch names, in flat and singly jagged columns.

uproot writes numbers and lists of numbers, neither classes nor lists of lists. So what LArCV keeps in a class branch is
here one branch per member, clusters lie end to end with a branch of their sizes, and strings are integers with a table
(docs/architecture.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import awkward as ak
import numpy as np
import uproot

from weft.detector.meta import VoxelMeta


class RootWriter:
    """A ROOT file of trees that have one entry per event; a context manager.

    A tree is begun by its first rows.

    Args:
        path: file to write; give a temporary one and rename it (`weft.io.atomic`).
        texts: small objects to store as JSON strings, by key.
    """

    def __init__(self, path: str | os.PathLike[str], texts: Mapping[str, Any] | None = None) -> None:
        # Zlib level 1: larger levels cost more time than the simulation itself.
        self._file = uproot.recreate(os.fspath(path), compression=uproot.ZLIB(1))
        self._trees: dict[str, Any] = {}
        for key, value in (texts or {}).items():
            self._file[key] = json.dumps(value, sort_keys=True)

    def extend(
        self,
        tree: str,
        flat: Mapping[str, np.ndarray],
        jagged: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]],
    ) -> None:
        """Append events to a tree.

        Args:
            tree: name; LArCV's are `<type>_<producer>_tree`.
            flat: (events,) arrays by branch.
            jagged: by name, how many values each event has, (events,), and the values (n,) by member. The members
                `{"._id": …, "._value": …}` of `_voxel_v` are the branches `_voxel_v._id` and `_voxel_v._value`, which
                share the counter `n_voxel_v`; a single member `""` is the branch of that name itself.

        Raises:
            ValueError: numbers of events or values that do not fit each other.
        """
        rows: dict[str, Any] = dict(flat)
        for name, (counts, members) in jagged.items():
            for member, values in members.items():
                if int(np.sum(counts)) != len(values):
                    raise ValueError(
                        f"{tree}: {name}{member} has {len(values)} values, its counts add up to {np.sum(counts)}"
                    )
            lists = {member: ak.unflatten(values, counts) for member, values in members.items()}
            rows[name] = lists[""] if "" in lists else ak.zip(lists)
        lengths = {len(column) for column in rows.values()}
        if len(lengths) != 1:
            raise ValueError(f"{tree}: branches have different numbers of events: {sorted(lengths)}")
        if tree not in self._trees:
            types = {
                name: column.dtype if isinstance(column, np.ndarray) else column.type.content
                for name, column in rows.items()
            }
            self._trees[tree] = self._file.mktree(
                tree, types, counter_name=lambda name: f"n{name}", field_name=lambda outer, inner: outer + inner
            )
        self._trees[tree].extend(rows)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> RootWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def meta_columns(meta: VoxelMeta, events: int) -> dict[str, np.ndarray]:
    """Voxel3DMeta as flat branches, the same in every event."""
    columns: dict[str, np.ndarray] = {}
    for k, a in enumerate("xyz"):
        columns[f"_meta._p1._{a}"] = np.full(events, meta.lower[k])
        columns[f"_meta._p2._{a}"] = np.full(events, meta.upper[k])
        columns[f"_meta._{a}len"] = np.full(events, meta.size[k])
        columns[f"_meta._{a}num"] = np.full(events, meta.count[k], np.uint64)
    return columns
