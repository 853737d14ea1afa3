"""What `weft inspect --suggest` prints: a normalisation for each channel of stacks, as YAML for a stage, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from weft.config.reference import plain
from weft.errors import WeftError
from weft.io.stack_files import find_stacks
from weft.io.store import EventStore
from weft.io.tiff import TiffStack
from weft.volumes.lazy import LazyVolume
from weft.volumes.normalise import channel
from weft.volumes.suggestion import Suggestion, suggest


def suggestions(path: Path, event: int = 0) -> Iterator[tuple[str, Suggestion]]:
    """(what it is of, suggestion) for each channel of one stack: event `event` of an event store, or image `event` of
    a TIFF file or of a folder of them.

    Raises WeftError where there is no such stack.
    """
    if path.suffix.lower() in (".h5", ".hdf5"):
        with EventStore.open(path) as store:
            if "image" not in store:
                raise WeftError(f"{path}: no product 'image': a normalisation is suggested for stacks only")
            _require(path, event, len(store))
            yield from _of(f"{path}, event {event}", store["image"][event])
        return
    stacks = find_stacks(path)
    _require(path, event, len(stacks))
    with TiffStack(stacks[event].image) as stack:
        yield from _of(str(stacks[event].image), stack.volume())


def _require(path: Path, event: int, count: int) -> None:
    if not 0 <= event < count:
        raise WeftError(f"{path}: no stack {event}: it has {count}, numbered from 0")


def _of(name: str, image: LazyVolume) -> Iterator[tuple[str, Suggestion]]:
    for c in range(image.shape[0]):
        yield f"{name}, channel {c}", suggest(channel(image, c))


def print_suggestions(paths: Sequence[Path], event: int = 0) -> None:
    """Of every path: the recipe as it stands in an experiment, a reason for each step, and what was measured."""
    for path in paths:
        for name, found in suggestions(path, event):
            print(name)
            print(f"  normalisation: {plain(list(found.steps))}")
            for reason in found.reasons:
                print(f"  - {reason}")
            for fact, value in found.facts.items():
                print(f"    {fact}: {value:.6g}")
