"""Dense arrays larger than memory, written slab by slab."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from weft.errors import WeftError

#: Bytes of one piece that is read or hashed at a time.
PIECE_BYTES = 16 << 20


@dataclass(frozen=True)
class DenseBlocks:
    """A dense product of one event that comes in slabs and is never whole in memory; it can be read once.

    Attributes:
        shape: of the whole.
        dtype: of the whole; slabs of another type are cast where no value changes.
        blocks: consecutive slabs along ``axis``, full along the others, or pairs (start, slab) as
            `weft.dense.windows` gives them.
        slab_axis: None: z of [..., Z, Y, X], the first axis where there are fewer than three.

    A writer takes one slab of each `DenseBlocks` of an event in turn, so iterators that share their source
    (``itertools.tee``) hold one slab between them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Iterable[np.ndarray | tuple[int, np.ndarray]]
    slab_axis: int | None = None

    @property
    def axis(self) -> int:
        return max(len(self.shape) - 3, 0) if self.slab_axis is None else self.slab_axis

    def slabs(self, what: str = "a dense product") -> Iterator[tuple[int, np.ndarray]]:
        """(start, slab) one after another.

        Raises WeftError where they do not fit together to the whole; ``what`` names file, event and product in it.
        """
        axis, start = self.axis, 0
        for block in self.blocks:
            said, slab = block if isinstance(block, tuple) else (start, block)
            expected = (*self.shape[:axis], slab.shape[axis] if slab.ndim > axis else 0, *self.shape[axis + 1 :])
            if said != start or slab.shape != expected or start + expected[axis] > self.shape[axis]:
                raise WeftError(
                    f"{what}: a slab of shape {slab.shape} that starts at {said} does not continue the {start} of "
                    f"{self.shape[axis]} planes of {self.shape} before it"
                )
            yield start, slab
            start += slab.shape[axis]
        if start != self.shape[axis]:
            raise WeftError(f"{what}: slabs end after {start} of {self.shape[axis]} planes of {self.shape}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The whole in memory."""
        whole = np.empty(self.shape, self.dtype)
        for start, slab in self.slabs():
            whole[(slice(None),) * self.axis + (slice(start, start + slab.shape[self.axis]),)] = slab
        return whole if dtype is None else whole.astype(dtype, copy=False)


def pieces(shape: tuple[int, ...], itemsize: int, limit: int = PIECE_BYTES) -> Iterator[tuple[slice, ...]]:
    """Slices that cover an array in the order of its bytes (C order), each of at most ``limit`` bytes.

    A single value is the least there is. An array without values has no pieces.
    """
    if prod(shape) == 0:
        return
    row = prod(shape[1:]) * itemsize
    if row > limit and len(shape) > 1:
        for k in range(shape[0]):
            yield from ((slice(k, k + 1), *rest) for rest in pieces(shape[1:], itemsize, limit))
        return
    step = max(1, limit // row)
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])), *(slice(0, n) for n in shape[1:]))
