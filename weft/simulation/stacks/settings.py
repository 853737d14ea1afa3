"""Every number that a simulated stack depends on, with its unit and bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from weft.config.strict import Strict
from weft.simulation.shared_settings import KindSettings, require_increasing


class _Structure(Strict):
    """What all structures have: how many objects, what they are called, how bright they are."""

    count: tuple[int, int] = Field((3, 6), description="fewest and most objects of a stack")
    label: int = Field(
        1, ge=-1, le=100, description="class of their voxels; 0: seen but not labelled, −1: no valid label"
    )
    channel: int = Field(0, ge=0, le=7, description="channel in which they are seen")
    brightness: tuple[float, float] = Field(
        (0.7, 1.3), description="of an object, as a multiple of `camera.photons`; drawn flat"
    )

    @model_validator(mode="after")
    def _ordered(self) -> _Structure:
        require_increasing("count", self.count, 0, 10_000)
        require_increasing("brightness", self.brightness, 0, 1000)
        return self


class Shells(_Structure):
    """Nuclei whose envelope is stained (lamin): bumpy ellipsoids, wide in xy, flat in z."""

    kind: Literal["shells"] = "shells"
    diameter: tuple[float, float] = Field((5.0, 7.0), description="mean width in xy, µm")
    height: tuple[float, float] = Field((0.6, 0.8), description="extent along z as a share of the width")
    elongation: tuple[float, float] = Field((1.0, 1.3), description="width across over mean width, in xy")
    thickness: float = Field(0.5, gt=0, le=100, description="of the stained envelope, µm")
    irregularity: float = Field(0.05, ge=0, le=0.3, description="r.m.s. of the bumps, as a share of the radius")
    lumen: float = Field(0.1, ge=0, le=10, description="brightness inside the envelope, as a share of the envelope's")
    marks: Literal["shell", "filled"] = Field(
        "shell", description="what is labelled: the envelope, or all that it encloses and the envelope"
    )
    gap: float = Field(
        0.3, ge=-100, le=100, description="least distance of two nuclei but for their bumps, µm; below 0 they overlap"
    )

    @model_validator(mode="after")
    def _spans(self) -> Shells:
        require_increasing("diameter", self.diameter, 0.05, 1000)
        require_increasing("height", self.height, 0.05, 2)
        require_increasing("elongation", self.elongation, 1, 3)
        return self


class Filaments(_Structure):
    """Networks of filaments (tubulin): worm-like chains that mostly lie in the plane."""

    kind: Literal["filaments"] = "filaments"
    count: tuple[int, int] = Field((40, 60), description="fewest and most filaments of a stack")
    length: tuple[float, float] = Field((6.0, 14.0), description="along the filament, µm")
    radius: float = Field(
        0.2, gt=0, le=100, description="µm; thinner than half a voxel, slices between two lines miss it"
    )
    persistence: float = Field(8.0, gt=0, le=1e4, description="length over which a filament keeps its direction, µm")
    tilt: float = Field(0.15, ge=0, le=1, description="how steep filaments are, as a share of that along x and y")

    @model_validator(mode="after")
    def _spans(self) -> Filaments:
        require_increasing("length", self.length, 0, 1e4)
        return self


class Blobs(_Structure):
    """Round bodies: vesicles, or debris where they have no label."""

    kind: Literal["blobs"] = "blobs"
    count: tuple[int, int] = Field((20, 40), description="fewest and most blobs of a stack")
    diameter: tuple[float, float] = Field((0.5, 1.0), description="µm")

    @model_validator(mode="after")
    def _spans(self) -> Blobs:
        require_increasing("diameter", self.diameter, 0.01, 1000)
        return self


Structure = Annotated[Shells | Filaments | Blobs, Field(discriminator="kind")]


class Optics(Strict):
    """How light gets to the camera."""

    psf: tuple[float, float, float] = Field(
        (0.35, 0.12, 0.12), description="standard deviation of the blur along z, y, x, µm"
    )
    haze: float = Field(0.3, ge=0, le=10, description="light from out of focus, as a share of that in focus")
    haze_width: float = Field(1.5, gt=0, le=100, description="standard deviation of the haze, µm")
    background: float = Field(0.2, ge=0, le=100, description="light without structures, multiple of `camera.photons`")
    unevenness: float = Field(0.5, ge=0, le=1, description="largest change of the background, as a share of it")
    vignetting: float = Field(0.2, ge=0, le=1, description="share of the light that is missing in the corners")
    bleaching: float = Field(0.3, ge=0, lt=1, description="share of the light that is lost from first to last slice")
    patchiness: float = Field(0.2, ge=0, le=2, description="r.m.s. of the logarithm of the staining along a structure")
    patch_size: float = Field(0.6, gt=0, le=100, description="size of patches of the staining, µm")

    @field_validator("psf")
    @classmethod
    def _not_negative(cls, psf: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(psf) < 0:
            raise ValueError("expected widths of 0 or more")
        return psf


class Camera(Strict):
    """From light to numbers: Poisson noise of the photons, Gaussian noise of the read-out."""

    photons: float = Field(60.0, gt=0, le=1e6, description="photons per voxel of a structure of brightness 1")
    gain: float = Field(3.0, gt=0, le=1e4, description="counts per photon")
    offset: float = Field(100.0, ge=0, le=1e4, description="counts without light")
    read_noise: float = Field(4.0, ge=0, le=1e4, description="standard deviation of the read-out, counts")
    dtype: Literal["uint8", "uint16", "float32"] = Field(
        "uint16", description="of the files; integers are cut at their largest value"
    )


class CostMap(Strict):
    """Voxels that are not judged, as a curator leaves them out, or that count more."""

    excluded: tuple[int, int] = Field((0, 0), description="fewest and most polygons of cost 0, through all slices")
    excluded_size: tuple[float, float] = Field((0.1, 0.3), description="their radius as a share of the shorter side")
    border: float = Field(1.0, ge=0, le=100, description="cost of voxels with a neighbour of another class")

    @model_validator(mode="after")
    def _spans(self) -> CostMap:
        require_increasing("excluded", self.excluded, 0, 100)
        require_increasing("excluded_size", self.excluded_size, 0, 1)
        return self


class StackSettings(KindSettings):
    """Settings of simulated stacks. By default nuclei whose envelope is to be found among unlabelled debris."""

    shape: tuple[int, int, int] = Field((32, 192, 192), description="voxels along z, y, x")
    spacing: tuple[float, float, float] = Field((0.29, 0.1, 0.1), description="voxel size along z, y, x, µm")
    size: float = Field(1.0, gt=0, le=100, description="factor on all lengths of the structures: the size knob")
    structures: tuple[Structure, ...] = Field(
        (Shells(kind="shells"), Blobs(kind="blobs", label=0, count=(5, 15), brightness=(0.5, 2.0))),
        min_length=1,
        description="what the stack holds; where two overlap, the later one gives the label",
    )
    optics: Optics = Optics()
    camera: Camera = Camera()
    cost: CostMap = CostMap()

    @model_validator(mode="after")
    def _possible(self) -> StackSettings:
        if min(self.shape) < 1 or max(self.shape) > 8192:
            raise ValueError(f"shape {self.shape}: expected 1 to 8192 voxels along each axis")
        if not 0 < min(self.spacing) <= max(self.spacing) <= 100:
            raise ValueError(f"spacing {self.spacing}: expected lengths above 0 and at most 100 µm")
        channels = {structure.channel for structure in self.structures}
        if channels != set(range(len(channels))):
            raise ValueError(f"structures: channels {sorted(channels)}: expected 0 and those that follow")
        return self

    @property
    def channels(self) -> int:
        return 1 + max(structure.channel for structure in self.structures)
