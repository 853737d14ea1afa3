"""Which files of event stores belong together: the same events, made from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.errors import WeftError
from weft.io.store_file import StoreFile


def join(first: StoreFile, other: StoreFile) -> np.ndarray | None:
    """int64: row in `other` of each event of `first`; None where they are the same.

    Raises WeftError where `other` lacks one.
    """
    ours, theirs = first.events["uid"], other.events["uid"]
    if np.array_equal(ours, theirs):
        return None
    order = np.argsort(theirs)
    place = np.searchsorted(theirs, ours, sorter=order)
    rows = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(ours), np.int64)
    missing = np.ones(len(ours), bool) if not len(order) else theirs[rows] != ours
    if missing.any():
        raise WeftError(
            f"{other.path} lacks {int(missing.sum())} of the {len(ours)} events of {first.path}: the files "
            "do not belong together, or the one with fewer events has to come first"
        )
    return rows


def check_lineage(files: Mapping[str, StoreFile]) -> None:
    """Refuse files that were not made from each other, or from the same store."""
    for alias, file in files.items():
        for name, expected in file.parents.items():
            if name in files and name != alias and files[name].content_hash != expected:
                raise WeftError(
                    f"{file.path} was made from another {name!r} (content {expected[:12]}) than "
                    f"{files[name].path} (content {files[name].content_hash[:12]}): make it again, or open "
                    "the one it was made from"
                )
    related = [{file.content_hash, *file.parents.values()} for file in files.values()]
    together = related[0]
    waiting = list(zip(files.values(), related, strict=True))[1:]
    while waiting:
        near = [entry for entry in waiting if entry[1] & together]
        if not near:
            strangers = ", ".join(str(file.path) for file, _ in waiting)
            first = next(iter(files.values()))
            raise WeftError(
                f"{strangers} and {first.path} do not belong together: neither was made from the other, nor "
                "both from the same store"
            )
        for entry in near:
            together = together | entry[1]
        waiting = [entry for entry in waiting if not entry[1] & together]
