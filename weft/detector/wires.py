"""Wire planes of a time projection chamber: which wires and which row of the image see a point, and back.

x is the drift direction, z the beam, y points up; wires lie in planes of constant x. A wire coordinate is a real number
that is w on wire w; a point belongs to the nearest wire. Wires of three planes that see one point obey a linear
relation, the closure, which is all that candidates are made of: no tables (specs/larmatch.md §1.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from weft.errors import WeftError

#: Planes of a chamber; what a triplet is made of.
PLANES = 3


@dataclass(frozen=True)
class Plane:
    """Parallel wires.

    Attributes:
        name: such as U, V, Y.
        angle: of the wires to the vertical, degrees: wires run along (y, z) = (cos angle, sin angle).
        pitch: distance of neighbours, cm.
        offset: wire coordinate at y = z = 0.
        wires: number of them, 0 … wires−1.
    """

    name: str
    angle: float
    pitch: float
    offset: float
    wires: int

    @property
    def normal(self) -> np.ndarray:
        """float64 (2,): the unit vector in (y, z) along which wire numbers grow."""
        angle = np.deg2rad(self.angle)
        return np.array([-np.sin(angle), np.cos(angle)])

    def coordinate(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """float64 wire coordinate of points (cm), also outside the plane."""
        normal = self.normal
        return (normal[0] * np.asarray(y) + normal[1] * np.asarray(z)) / self.pitch + self.offset


@dataclass(frozen=True)
class Readout:
    """When charge is seen.

    Attributes:
        tick: length of a sample, µs.
        first_tick: the tick at the lower edge of row 0 of an image.
        ticks_per_row: samples that are summed to a row.
        rows: rows of an image.
        anode_tick: the tick at which charge of time zero arrives that was freed at the anode. A constant delay of the
            electronics belongs in here.
        drift_velocity: cm/µs.
    """

    tick: float
    first_tick: float
    ticks_per_row: int
    rows: int
    anode_tick: float
    drift_velocity: float

    @property
    def row_length(self) -> float:
        """cm of drift per row."""
        return self.drift_velocity * self.tick * self.ticks_per_row

    def row_of(self, tick: np.ndarray) -> np.ndarray:
        """float64: rows of ticks; the integer part is the row of the image, its centre is at ½."""
        return (np.asarray(tick) - self.first_tick) / self.ticks_per_row

    def tick_of(self, row: np.ndarray) -> np.ndarray:
        """float64: ticks of real-valued rows, the inverse of :meth:`row_of`."""
        return self.first_tick + np.asarray(row) * self.ticks_per_row


@dataclass(frozen=True)
class Closure:
    """The wires (w0, w1, w2) of one point obey w2 = slope0·w0 + slope1·w1 + offset.

    Attributes:
        reach: integer wires have a point in common, one that is nearest to all three, where
            |w2 − slope0·w0 − slope1·w1 − offset| is below this.
    """

    slope0: float
    slope1: float
    offset: float
    reach: float

    def residual(self, wires: np.ndarray) -> np.ndarray:
        """float64 (n,): how far wires (n, 3) are from closing, in wires of plane 2."""
        wires = np.asarray(wires)
        return wires[:, 2] - self.slope0 * wires[:, 0] - self.slope1 * wires[:, 1] - self.offset


@dataclass(frozen=True)
class Tpc:
    """One drift volume with its three wire planes.

    Attributes:
        lower, upper: corners (x, y, z) of the active box, cm.
        anode: x of the wire planes, cm. Times are corrected for the distance of the planes from each other.
        drift: +1 where x grows from the anode into the volume, −1 where it falls.
        planes: three, of three different directions.
        readout: shared by the planes.
    """

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    anode: float
    drift: int
    planes: tuple[Plane, Plane, Plane]
    readout: Readout

    def __post_init__(self) -> None:
        if len(self.planes) != PLANES:
            raise WeftError(f"{len(self.planes)} wire planes, expected {PLANES}")
        if self.drift not in (-1, 1):
            raise WeftError(f"drift is {self.drift}, expected 1 or −1")
        if any(low >= high for low, high in zip(self.lower, self.upper, strict=True)):
            raise WeftError(f"the active box from {self.lower} to {self.upper} has no volume")
        normals = [plane.normal for plane in self.planes]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            if abs(_cross(normals[i], normals[j])) < 1e-6:
                names = self.planes[i].name, self.planes[j].name
                raise WeftError(f"wires of planes {names[0]} and {names[1]} are parallel; three directions are needed")

    # ------------------------------------------------------------------------------------------------- wires

    def coordinates(self, position: np.ndarray) -> np.ndarray:
        """float64 (n, 3): wire coordinates in the three planes of positions (n, 3) in cm."""
        position = np.asarray(position, np.float64)
        return np.stack([plane.coordinate(position[:, 1], position[:, 2]) for plane in self.planes], axis=1)

    def wires(self, position: np.ndarray) -> np.ndarray:
        """int64 (n, 3): the nearest wire in each plane of positions (n, 3) in cm; −1 where the plane has none there."""
        wire = np.floor(self.coordinates(position) + 0.5).astype(np.int64)
        return np.where((wire >= 0) & (wire < [plane.wires for plane in self.planes]), wire, -1)

    def yz(self, wires: np.ndarray) -> np.ndarray:
        """float64 (n, 2): the point (y, z) in cm nearest to three wires (n, 3), by least squares of the distances.

        Wire coordinates may be real numbers. Where they are those of a point, it is this point.
        """
        matrix, constant = self.yz_map
        return np.asarray(wires, np.float64) @ matrix.T + constant

    @cached_property
    def yz_map(self) -> tuple[np.ndarray, np.ndarray]:
        """float64 (2, 3) and (2,): (y, z) = matrix · wires + constant."""
        pitch = np.array([plane.pitch for plane in self.planes])
        offset = np.array([plane.offset for plane in self.planes])
        matrix = np.linalg.pinv(np.stack([plane.normal for plane in self.planes])) * pitch
        return matrix, -matrix @ offset

    @cached_property
    def closure(self) -> Closure:
        """The relation of wires that see one point, for planes of any angles and pitches."""
        first, second, third = (plane.normal / plane.pitch for plane in self.planes)
        whole = _cross(first, second)
        a, b = _cross(third, second) / whole, _cross(first, third) / whole
        offset = self.planes[2].offset - a * self.planes[0].offset - b * self.planes[1].offset
        return Closure(a, b, offset, 0.5 * (1.0 + abs(a) + abs(b)))

    # -------------------------------------------------------------------------------------------------- time

    def tick(self, x: np.ndarray, time: np.ndarray | float = 0.0) -> np.ndarray:
        """float64: the tick at which charge freed at x (cm) and `time` (µs after time zero) reaches the anode."""
        readout = self.readout
        drift_time = self.drift * (np.asarray(x) - self.anode) / readout.drift_velocity
        return readout.anode_tick + (drift_time + time) / readout.tick

    def x(self, tick: np.ndarray) -> np.ndarray:
        """float64: x in cm of charge of time zero seen at a tick, the inverse of :meth:`tick`."""
        readout = self.readout
        return self.anode + self.drift * (np.asarray(tick) - readout.anode_tick) * readout.tick * readout.drift_velocity

    def rows(self, x: np.ndarray, time: np.ndarray | float = 0.0) -> np.ndarray:
        """int64: the row of the image that sees charge freed at x (cm) and `time` (µs); −1 outside the image."""
        row = np.floor(self.readout.row_of(self.tick(x, time))).astype(np.int64)
        return np.where((row >= 0) & (row < self.readout.rows), row, -1)

    def position(self, wires: np.ndarray, row: np.ndarray) -> np.ndarray:
        """float64 (n, 3): the point in cm of three wires (n, 3) and a row (n,): its centre, at time zero."""
        x = self.x(self.readout.tick_of(np.asarray(row) + 0.5))
        return np.concatenate([x[:, None], self.yz(wires)], axis=1)

    def inside(self, position: np.ndarray) -> np.ndarray:
        """bool (n,): which positions (n, 3) in cm are in the active box, edges included."""
        position = np.asarray(position)
        return np.all((position >= self.lower) & (position <= self.upper), axis=1)


@dataclass(frozen=True)
class GapRule:
    """When wires without charge count as dead, see `weft.detector.dead_wires`.

    Attributes:
        empty_below: a wire is empty if no pixel of it exceeds this.
        longest: runs of up to this many empty wires count as dead; 0: the rule is off.
    """

    empty_below: float = 10.0
    longest: int = 0


@dataclass(frozen=True)
class Detector:
    """Drift volumes, numbered from 0; `gaps` is the same rule wherever candidates are made."""

    name: str
    tpcs: tuple[Tpc, ...]
    gaps: GapRule = field(default_factory=GapRule)

    def tpc_of(self, position: np.ndarray) -> np.ndarray:
        """int64 (n,): number of the first volume whose box holds a position (n, 3) in cm; −1 where none does."""
        found = np.full(len(position), -1, np.int64)
        for number, tpc in reversed(list(enumerate(self.tpcs))):
            found[tpc.inside(position)] = number
        return found


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])
