"""Detectors from ``config/detectors/*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from weft.config.loading import ConfigError, find, read_mapping, validate
from weft.config.strict import Strict
from weft.detector.wires import Detector, GapRule, Plane, Readout, Tpc
from weft.errors import WeftError

DETECTORS = Path("config/detectors")

Point = tuple[float, float, float]


class PlaneOptions(Strict):
    """A plane of parallel wires."""

    name: str = Field(min_length=1, description="such as U, V, Y")
    angle: float = Field(ge=-90, le=90, description="of the wires to the vertical, degrees: along (cos, sin) in (y, z)")
    pitch: float = Field(gt=0, description="distance of neighbouring wires, cm")
    offset: float = Field(description="wire coordinate at y = z = 0; wire w is nearest where it is w−½ … w+½")
    wires: int = Field(ge=1, description="number of wires")


class ReadoutOptions(Strict):
    """When charge is seen."""

    tick: float = Field(gt=0, description="length of a sample, µs")
    first_tick: float = Field(description="the tick at the lower edge of row 0 of an image")
    ticks_per_row: int = Field(ge=1, description="samples that are summed to a row")
    rows: int = Field(ge=1, description="rows of an image")
    anode_tick: float = Field(description="tick at which charge of time zero, freed at the anode, arrives")
    drift_velocity: float = Field(gt=0, description="cm/µs")


class TpcOptions(Strict):
    """A drift volume."""

    lower: Point = Field(description="lower corner (x, y, z) of the active box, cm")
    upper: Point = Field(description="upper corner (x, y, z) of the active box, cm")
    anode: float = Field(description="x of the wire planes, cm")
    drift: Literal[-1, 1] = Field(description="1 where x grows from the anode into the volume, −1 where it falls")
    planes: tuple[PlaneOptions, PlaneOptions, PlaneOptions] = Field(description="three planes of different directions")


class GapOptions(Strict):
    """Wires without charge between others count as dead."""

    empty_below: float = Field(10.0, description="a wire is empty if no pixel of it exceeds this")
    longest: int = Field(0, ge=0, description="runs of up to this many empty wires count as dead; 0: never")


class DetectorOptions(Strict):
    """A detector: drift volumes with three wire planes each, and one readout."""

    name: str = Field(min_length=1, description="for reports and provenance")
    title: str = Field("", description="what it is")
    readout: ReadoutOptions = Field(description="times, the same for all volumes")
    tpcs: Annotated[tuple[TpcOptions, ...], Field(min_length=1)] = Field(description="drift volumes, numbered from 0")
    gaps: GapOptions = Field(GapOptions(), description="when wires without charge count as dead")


def _named(value: Any) -> Any:
    return read_detector(value)[1] if isinstance(value, str) else value


NamedDetector = Annotated[DetectorOptions, BeforeValidator(_named)]
"""an option that is given as the name of a detector and keeps what that says: a rule sees when a detector changes"""


def load_detector(name: str | Path) -> Detector:
    """The detector of ``config/detectors/<name>.yaml``, ``.toml`` or ``.json``, or of a path."""
    path, options = read_detector(name)
    return build_detector(options, str(path))


def read_detector(name: str | Path) -> tuple[Path, DetectorOptions]:
    """What the file of a detector says, and which file it is."""
    path = find("detector", name, DETECTORS)
    return path, validate(DetectorOptions, read_mapping(path), str(path))


def detector_of(options: Mapping[str, Any] | None) -> Detector | None:
    """The detector of its options as plain data, as a rule has them; None of none."""
    if options is None:
        return None
    checked = validate(DetectorOptions, options, "detector")
    return build_detector(checked, f"detector '{checked.name}'")


def build_detector(options: DetectorOptions, source: str) -> Detector:
    """The detector of its options; `source` names them in errors."""
    readout = Readout(**options.readout.model_dump())
    tpcs = []
    for number, tpc in enumerate(options.tpcs):
        first, second, third = (Plane(**plane.model_dump()) for plane in tpc.planes)
        try:
            tpcs.append(Tpc(tpc.lower, tpc.upper, tpc.anode, tpc.drift, (first, second, third), readout))
        except WeftError as error:
            raise ConfigError(f"{source}: tpcs.{number}: {error}") from None
    return Detector(options.name, tuple(tpcs), GapRule(**options.gaps.model_dump()))
