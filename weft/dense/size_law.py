"""Which sizes a network on volumes admits, and how large its output is (microscopy spec §2.1-2.3).

Convolutions without padding eat the border, and pooling needs sizes that divide; both are affine in the size of an
axis, so a law is four integers an axis. Sizes are in voxels, axes are z, y, x. No torch in here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weft.errors import WeftError

Size = tuple[int, int, int]
AXES = ("z", "y", "x")


@dataclass(frozen=True)
class AxisLaw:
    """Inputs ``smallest + step * p`` for p = 0, 1, … give outputs that are ``shrink`` voxels smaller."""

    smallest: int
    step: int = 1
    shrink: int = 0

    def __post_init__(self) -> None:
        if self.step < 1 or self.shrink < 0 or self.smallest <= self.shrink or self.shrink % 2:
            raise ValueError(f"{self}: no law of an axis")

    def legal(self, size: int) -> bool:
        return size >= self.smallest and (size - self.smallest) % self.step == 0

    def below(self, size: int) -> int | None:
        """The largest legal input that is not above ``size``; None where there is none."""
        return None if size < self.smallest else size - (size - self.smallest) % self.step

    def above(self, size: int) -> int:
        """The smallest legal input that is not below ``size``."""
        return self.smallest + max(0, -(-(size - self.smallest) // self.step)) * self.step


@dataclass(frozen=True)
class SizeLaw:
    """The sizes [Z, Y, X] that a network takes, and gives.

    Attributes:
        z, y, x: the laws of the axes.
        network: its name, for errors.
        largest: the largest input, where it was built for inputs of one size; None: no limit.
    """

    z: AxisLaw
    y: AxisLaw
    x: AxisLaw
    network: str = "the network"
    largest: Size | None = None

    @property
    def axes(self) -> tuple[AxisLaw, AxisLaw, AxisLaw]:
        return self.z, self.y, self.x

    @property
    def smallest(self) -> Size:
        """The smallest legal input."""
        return _size(axis.smallest for axis in self.axes)

    @property
    def step(self) -> Size:
        """From one legal input to the next; an input moved by so many voxels moves the output by as many."""
        return _size(axis.step for axis in self.axes)

    @property
    def shrink(self) -> Size:
        """Input size - output size."""
        return _size(axis.shrink for axis in self.axes)

    @property
    def margin(self) -> Size:
        """Voxels of the input on each side that the output does not have: half of ``shrink``."""
        return _size(axis.shrink // 2 for axis in self.axes)

    @property
    def padded(self) -> bool:
        """Whether the output is as large as the input."""
        return self.shrink == (0, 0, 0)

    def legal(self, size_in: Sequence[int]) -> bool:
        """Whether the network takes an input of this size."""
        if len(size_in) != 3 or not all(axis.legal(n) for axis, n in zip(self.axes, size_in, strict=True)):
            return False
        return self.largest is None or all(n <= most for n, most in zip(size_in, self.largest, strict=True))

    def next_legal(self, size_in: Sequence[int]) -> tuple[Size | None, Size | None]:
        """The nearest legal inputs, axis by axis, not above and not below this size; None where there is none."""
        _three(size_in)
        wanted = list(zip(self.axes, size_in, strict=True))
        if self.largest is not None:
            wanted = [(axis, min(n, most)) for (axis, n), most in zip(wanted, self.largest, strict=True)]
        below = [axis.below(n) for axis, n in wanted]
        above = _size(axis.above(n) for axis, n in wanted)
        if any(a < n for a, n in zip(above, size_in, strict=True)) or not self.legal(above):
            return _whole(below), None
        return _whole(below), above

    def require(self, size_in: Sequence[int], name: str = "size_in") -> Size:
        """The size, if it is legal.

        Raises:
            WeftError: it is not; the message says the nearest legal ones and what they give.
        """
        _three(size_in, name)
        if not self.legal(size_in):
            raise WeftError(f"{name}: {self.network} takes no input of {_text(size_in)}; {self._nearest(size_in)}")
        return _size(size_in)

    def out_size(self, size_in: Sequence[int]) -> Size:
        """What an input of a legal size gives.

        Raises:
            WeftError: the size is not legal.
        """
        size = self.require(size_in)
        return _size(n - axis.shrink for axis, n in zip(self.axes, size, strict=True))

    def in_size(self, size_out: Sequence[int]) -> Size:
        """The input that gives an output of this size.

        Raises:
            WeftError: no input does; the message says the nearest outputs and their inputs.
        """
        _three(size_out, "size_out")
        size_in = _size(n + axis.shrink for axis, n in zip(self.axes, size_out, strict=True))
        if not self.legal(size_in):
            raise WeftError(f"size_out: {self.network} gives no {_text(size_out)}; {self._nearest(size_in)}")
        return size_in

    def covering(self, size_out: Sequence[int]) -> Size:
        """The smallest legal input whose output is at least this large.

        Raises:
            WeftError: the network was built for smaller inputs.
        """
        _three(size_out, "size_out")
        wanted = _size(n + axis.shrink for axis, n in zip(self.axes, size_out, strict=True))
        size_in = _size(axis.above(n) for axis, n in zip(self.axes, wanted, strict=True))
        if not self.legal(size_in):
            raise WeftError(f"size_out: {self.network} gives at most {_text(self.out_size(self.largest or size_in))}")
        return size_in

    def pair(self, size_in: Sequence[int] | None, size_out: Sequence[int] | None) -> tuple[Size, Size]:
        """(input, output) from either, or from both where they agree.

        Raises:
            WeftError: neither is given, one is not legal, or they do not belong together.
        """
        if size_in is None and size_out is None:
            raise WeftError(f"size_in: {self.network} needs the size of a patch, such as {_text(self.smallest)}")
        if size_in is None:
            assert size_out is not None
            size_in = self.in_size(size_out)
        given = self.out_size(size_in)
        if size_out is not None and tuple(size_out) != given:
            raise WeftError(f"size_out: {_text(size_in)} gives {_text(given)}, not {_text(size_out)}; leave it out")
        return _size(size_in), given

    def _nearest(self, size_in: Sequence[int]) -> str:
        said = [
            f"{_text(size)} gives {_text(self.out_size(size))}"
            for size in dict.fromkeys(self.next_legal(size_in))
            if size is not None
        ]
        return "the nearest legal: " + ", ".join(said) if said else f"the smallest legal is {_text(self.smallest)}"


def _size(values: Sequence[int] | Iterator[int]) -> Size:
    z, y, x = (int(value) for value in values)
    return z, y, x


def _whole(values: Sequence[int | None]) -> Size | None:
    found = [value for value in values if value is not None]
    return _size(found) if len(found) == 3 else None


def _three(size: Sequence[int], name: str = "size_in") -> None:
    if len(size) != 3:
        raise WeftError(f"{name}: {list(size)}: expected three sizes in voxels, z, y, x")


def _text(size: Sequence[int]) -> str:
    return "[" + ", ".join(str(n) for n in size) + "]"
