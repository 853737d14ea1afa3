"""Every number that an event depends on, with its unit and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from weft.config.dataset import SimulatedDataset
from weft.detector.charge import Recombination
from weft.detector.meta import VoxelMeta
from weft.simulation.shared_settings import KindSettings
from weft.simulation.stacks.settings import StackSettings
from weft.simulation.streets.settings import StreetSettings
from weft.simulation.towns.settings import TownSettings
from weft.simulation.wire_settings import Wires

Species = Literal["mu-", "mu+", "e-", "e+", "gamma", "pi+", "pi-", "pi0", "proton", "neutron"]

Count = Annotated[tuple[int, int], Field(description="smallest and largest number, both included")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Box(_Section):
    """The cube of voxels that is read out, and the argon around it."""

    voxels: int = Field(256, ge=32, le=2048, description="voxels along each edge of the cube")
    voxel_size: float = Field(0.3, ge=0.1, le=1.0, description="edge of a voxel, cm")
    margin: float = Field(
        20.0, ge=0, le=300, description="argon around the box, cm: what leaves the box can come back from there"
    )
    step: float = Field(0.1, ge=0.01, le=0.3, description="longest step of a charged particle, cm")

    def meta(self) -> VoxelMeta:
        return VoxelMeta.cube(self.voxels, self.voxel_size)


class Block(_Section):
    """Particles drawn alike: one of `species`, kinetic energy flat in `energy`."""

    species: tuple[Species, ...] = Field(min_length=1, description="drawn with equal chances")
    count: Count = Field((0, 1000), description="fewest and most particles of this block per vertex")
    energy: tuple[float, float] = Field((50.0, 1000.0), description="lowest and highest kinetic energy, MeV")
    weight: float = Field(1.0, gt=0, description="chance to be drawn, relative to the other blocks")

    @model_validator(mode="after")
    def _check(self) -> Block:
        if not 0 < self.energy[0] <= self.energy[1] <= 1e4:
            raise ValueError(f"energy {self.energy} MeV: expected 0 < lowest <= highest <= 10000")
        if not 0 <= self.count[0] <= self.count[1]:
            raise ValueError(f"count {self.count}: expected 0 <= fewest <= most")
        return self


class Vertices(_Section):
    """ParticleBomb's recipe (specs/anchors.md §5.2): draw a multiplicity, then blocks by weight within their counts."""

    vertices: Count = Field((1, 1), description="fewest and most vertices per event")
    particles: Count = Field((1, 1), description="fewest and most particles per vertex")
    wall: float = Field(0.0, ge=-100, le=100, description="vertices keep this distance from the walls, cm; may be < 0")
    blocks: tuple[Block, ...] = Field(min_length=1, description="what a vertex is made of")

    @model_validator(mode="after")
    def _check(self) -> Vertices:
        for name, (low, high) in (("vertices", self.vertices), ("particles", self.particles)):
            if not 0 <= low <= high:
                raise ValueError(f"{name} ({low}, {high}): expected 0 <= fewest <= most")
        if sum(b.count[0] for b in self.blocks) > self.particles[0]:
            raise ValueError("particles: the fewest is less than the blocks' fewest together")
        if sum(b.count[1] for b in self.blocks) < self.particles[1]:
            raise ValueError("particles: the most is more than the blocks' most together")
        return self


def _neutrino_like() -> Vertices:
    return Vertices(
        vertices=(1, 1),
        particles=(2, 5),
        wall=8.0,
        blocks=(
            Block(species=("mu-", "mu+", "e-", "e+"), count=(0, 1), energy=(50, 1000), weight=3),
            Block(species=("pi0",), count=(0, 1), energy=(10, 500)),
            Block(species=("pi+", "pi-"), count=(0, 2), energy=(20, 500)),
            Block(species=("gamma",), count=(0, 1), energy=(20, 500)),
            Block(species=("proton",), count=(0, 3), energy=(20, 400), weight=3),
        ),
    )


def _rain() -> Vertices:
    return Vertices(
        vertices=(1, 3),
        particles=(1, 1),
        wall=-10.0,
        blocks=(
            Block(species=("mu-", "mu+"), energy=(20, 400), weight=8),
            Block(species=("e-", "e+"), energy=(20, 400)),
            Block(species=("gamma",), energy=(20, 400)),
            Block(species=("pi+", "pi-"), energy=(20, 400)),
            Block(species=("proton",), energy=(30, 400)),
        ),
    )


class Response(_Section):
    """The detector: from energy in argon to visible energy per voxel. Charge drifts towards the lower x wall."""

    field: float = Field(0.5, gt=0.01, le=5, description="electric field, kV/cm")
    recombination: Recombination = Field("modified_box", description="modified_box or birks")
    box_alpha: float = Field(0.93, gt=0, le=1, description="α of the modified box model")
    box_beta: float = Field(0.212, gt=0, le=1, description="β of the modified box model, (kV/cm)(g/cm²)/MeV")
    birks_a: float = Field(0.8, gt=0, le=1, description="A of Birks' law")
    birks_k: float = Field(0.0486, gt=0, le=1, description="k of Birks' law, (kV/cm)(g/cm²)/MeV")
    ionisation: float = Field(23.6, gt=0, description="energy per electron-ion pair, eV")
    drift_velocity: float = Field(0.16, gt=0, le=1, description="drift velocity, cm/µs")
    lifetime: float = Field(6.0, gt=0, description="lifetime of drifting electrons, ms")
    diffusion_longitudinal: float = Field(7.2, ge=0, le=100, description="diffusion along the drift, cm²/s")
    diffusion_transverse: float = Field(12.0, ge=0, le=100, description="diffusion across the drift, cm²/s")
    noise: float = Field(400.0, ge=0, le=1e5, description="electronics noise per voxel, electrons (r.m.s.)")
    threshold: float = Field(1200.0, ge=0, le=1e6, description="smallest charge of a voxel that is kept, electrons")
    dead_pixels: float = Field(0.004, ge=0, le=1, description="share of single dead pixels of the anode")
    dead_tiles: float = Field(0.008, ge=0, le=1, description="share of dead tiles of the anode")
    tile: int = Field(16, ge=1, le=512, description="pixels along the edge of a tile")
    dead_map: int = Field(1, ge=0, description="seed of the map of dead pixels")
    calibration_dedx: float = Field(
        2.1, gt=0, description="dE/dx (MeV/cm) at which the calibration to MeV is right, in the nominal modified box"
    )
    calibration_lifetime: float = Field(6.0, gt=0, description="lifetime that the calibration corrects for, ms")


class Labels(_Section):
    """When a deposit is big enough for its class; sizes count voxels of true energy above `threshold`
    (Supera's rules, specs/anchors.md §5.2)."""

    threshold: float = Field(0.05, ge=0, le=10, description="smallest true energy of a voxel that counts, MeV")
    delta_size: int = Field(3, ge=1, description="fewest voxels off its track that make a delta ray")
    compton_size: int = Field(10, ge=1, description="fewest voxels of a shower fragment; smaller ones are low-energy")
    scatter_size: int = Field(
        2, ge=1, description="fewest voxels of a track, Michel electron or primary electron; smaller: low-energy"
    )


class SimulationSettings(KindSettings):
    """Settings of one simulated sample. Defaults: one neutrino-like vertex and one to three rain particles in 256³."""

    box: Box = Box()
    neutrino_like: Vertices = Field(default_factory=_neutrino_like, description="multi-particle vertices (MPV)")
    rain: Vertices = Field(default_factory=_rain, description="independent single particles (MPR)")
    response: Response = Response()
    labels: Labels = Labels()
    wires: Wires | None = Field(None, description="wire planes that see the same events; none: voxels only")

    @model_serializer(mode="wrap")
    def _without_wires(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A sample without wire planes is the same sample as before there were any, and is not made anew."""
        return {name: value for name, value in dump(self).items() if name != "wires" or value is not None}

    @model_validator(mode="after")
    def _check(self) -> SimulationSettings:
        r, edge = self.response, self.box.voxels * self.box.voxel_size
        widest = (2e-6 * max(r.diffusion_longitudinal, r.diffusion_transverse) * edge / r.drift_velocity) ** 0.5
        if widest > 0.8 * self.box.voxel_size:
            raise ValueError(
                f"response: diffusion reaches {widest:.2f} cm over the box, at most 0.8 voxels "
                f"({0.8 * self.box.voxel_size:.2f} cm) are simulated; lower the diffusion or raise the drift velocity"
            )
        for name in ("neutrino_like", "rain"):
            if 2 * getattr(self, name).wall >= edge:
                raise ValueError(f"{name}.wall leaves no room in a box of {edge:g} cm")
        return self


Settings = SimulationSettings | StackSettings | TownSettings | StreetSettings


def settings_of(dataset: SimulatedDataset, split: str) -> Settings:
    """All settings of one split of a dataset, defaults included; of the kind that it simulates.

    Raises:
        ConfigError: in one line, the dataset, the split and the first key that is wrong.
    """
    source = f"dataset '{dataset.name}', split '{split}': simulation"
    kinds: Mapping[str, type[SimulationSettings] | type[StackSettings] | type[TownSettings] | type[StreetSettings]]
    kinds = {
        "lartpc": SimulationSettings,
        "stacks": StackSettings,
        "towns": TownSettings,
        "streets": StreetSettings,
    }
    return kinds[dataset.kind].parse(dataset.split(split).simulation, source)
