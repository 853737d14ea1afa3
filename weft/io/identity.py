"""Who an event is, and which split it falls into.

The unique id is the first 8 bytes of BLAKE2b over ``namespace, run, subrun, event`` where these three numbers differ
for all events of a source, and over ``namespace, source file name, entry`` besides where they repeat or are missing.
The events of a source that has names instead (images of a folder) are told by ``namespace, name``.
It depends on neither the converter's ranges nor on the order of files, so any process finds the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from weft.io.products import EVENT_DTYPE


def event_table(
    entries: int,
    numbers: np.ndarray | None,
    file_name: str,
    namespace: str = "",
    names: Sequence[str] | None = None,
) -> tuple[np.ndarray, bool]:
    """The events table of a source, and whether run, subrun and event alone tell its events apart.

    Args:
        entries: number of events of the whole source.
        numbers: int64 (entries, 3): run, subrun, event; None where the source has none (they become 0, 0, entry).
        file_name: name of the source, without folders.
        names: of the events, where the source has them instead of numbers: an event is then told by its name, whatever
            other events the source has.
        namespace: keeps events of different datasets apart that have the same numbers.
    """
    table = np.zeros(entries, EVENT_DTYPE)
    if numbers is None:
        table["event"] = np.arange(entries)
        distinct = False
    else:
        for column, values in zip(("run", "subrun", "event"), np.asarray(numbers).T, strict=True):
            table[column] = values
        distinct = len(np.unique(np.asarray(numbers), axis=0)) == entries
    for i, (run, subrun, event, _) in enumerate(table.tolist()):
        number = f"\0{run}\0{subrun}\0{event}" if distinct or names is None else ""
        text = f"{namespace}{number}"
        if not distinct:
            text += f"\0{file_name}\0{i}" if names is None else f"\0{names[i]}"
        table["uid"][i] = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
    return table, distinct


def split_fraction(uid: np.ndarray) -> np.ndarray:
    """float64 in [0, 1): where an event falls among the splits, by a hash of its unique id.

    The mixing steps are the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), so that ids which count
    upwards are spread as well.
    """
    x = np.asarray(uid, np.uint64).copy()
    with np.errstate(over="ignore"):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)) * 2.0**-53
