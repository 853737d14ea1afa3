"""What the reconstruction takes from which stage, and the numbers of each of its steps (spec §1.11)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from weft.config.strict import Strict
from weft.io.reco_products import PIDS
from weft.reco.length import Method
from weft.reco.topology import THRESHOLDS

_NUMBER = {name: pid for pid, name in PIDS.items()}


def _known_types(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if name not in _NUMBER:
            raise ValueError(f"no particle type {name!r}: expected one of {', '.join(_NUMBER)}")
        if not value >= 0:
            raise ValueError(f"the threshold of {name} is {value}: expected 0 or more")
    return values


ByType = Annotated[dict[str, float], AfterValidator(_known_types)]


class Sources(Strict):
    """Who says what: GrapPA, or a classical rule."""

    interactions: Literal["grappa", "distance"] = Field(
        "grappa", description="which particles belong together; distance: those that come near each other"
    )
    primary: Literal["grappa", "vertex"] = Field(
        "grappa", description="which come from the vertex; vertex: those that touch it, and showers that point to it"
    )
    pid: Literal["grappa", "template"] = Field("grappa", description="types; template: by dE/dx")
    vertex: Literal["geometric", "grappa"] = Field(
        "geometric", description="geometric: from points and directions; grappa: mean of what its primaries say"
    )
    orientation: Literal["grappa", "points", "dedx", "none"] = Field(
        "dedx", description="which end of a track is its start; points: end scores of PPN; none: as it comes"
    )
    momentum: Literal["grappa", "energy"] = Field("energy", description="energy: from the best kinetic energy")
    points: Literal["ppn", "none"] = Field("none", description="whether proposed points are given to particles")
    fragment_primary: Literal["grappa", "candidates"] = Field(
        "candidates", description="scores of fragments: of the stage that grouped them, or of the candidate's choice"
    )


class Directions(Strict):
    """Directions at starts and ends."""

    radius: float = Field(-1.0, description="cm; of the voxels around the point that count; not positive: all")
    optimize: bool = Field(True, description="of those take the ball that looks most like a line")


class Calorimetry(Strict):
    """Kinetic energy from deposits."""

    scale: float = Field(1.0, gt=0, description="what a visible MeV is worth")
    shower_fudge: float = Field(1 / 0.83, gt=0, description="for all but tracks: makes up for what is not clustered")


class Tracking(Strict):
    """Length of tracks; range energies come from it."""

    method: Method = Field("step_next", description="step_next: walk along; bin_pca: slice along the principal axis")
    segment: float = Field(5.0, gt=0, description="cm; of a segment")


class Scattering(Strict):
    """Kinetic energy of tracks from multiple Coulomb scattering."""

    enabled: bool = Field(True, description="whether to fit it")
    method: Method = Field("bin_pca", description="how segments are made, see tracking.method")
    segment: float = Field(5.0, gt=0, description="cm; of a segment")
    resolution: float = Field(0.25, ge=0, description="rad·cm^power; angular resolution is resolution/segment^power")
    resolution_power: float = Field(1.25, ge=0, description="see resolution")
    low: float = Field(10.0, gt=0, description="MeV; least energy of the fit")
    high: float = Field(1e5, gt=0, description="MeV; greatest energy of the fit")


class Template(Strict):
    """χ² of the energy loss along tracks."""

    enabled: bool = Field(True, description="whether to compute it; sources.pid template needs it")
    segment: float = Field(5.0, gt=0, description="cm; of a segment")
    fewest: int = Field(10, ge=1, description="voxels; segments of less are left out")
    both_ways: bool = Field(True, description="the better of both ends as the one where it stopped")
    visible: bool = Field(True, description="expect energy as seen after recombination, not as deposited")
    width: float = Field(1.0, gt=0, description="χ² that is worth a factor e in the score")


class Local(Strict):
    """Energy loss and straightness at the ends."""

    dedx_radius: float = Field(3.0, gt=0, description="cm; of the ball in which dE/dx is measured")
    straightness_radius: float = Field(3.0, gt=0, description="cm; of the ball in which straightness is measured")
    orientation_radius: float = Field(5.0, gt=0, description="cm; of the balls by which dedx tells start from end")
    point_reach: float = Field(1.5, gt=0, description="cm; how near a proposed point must be to speak for an end")


class Points(Strict):
    """Proposed points and particles, where sources.points says so."""

    within: float = Field(2.0, gt=0, description="cm; a point nearer than this to a voxel of a particle is given to it")
    same_class: bool = Field(False, description="only to particles of the class of the point")


class Grouping(Strict):
    """Interactions by distance, where sources.interactions says so."""

    distance: float = Field(3.0, gt=0, description="cm; particles with voxels nearer than this belong together")


class Types(Strict):
    """From scores to types."""

    shape_logic: bool = Field(True, description="allow only types and primaries that fit the semantic class")
    thresholds: ByType = Field(
        {}, description="types, in this order, taken once their probability reaches the threshold; else the best one"
    )
    primary_threshold: float = Field(0.5, ge=0, le=1, description="score from which a particle is primary")

    def by_pid(self) -> dict[int, float]:
        """Thresholds by number of the type."""
        return {_NUMBER[name]: value for name, value in self.thresholds.items()}


class VertexRules(Strict):
    """The vertex of an interaction."""

    touching: float = Field(2.0, gt=0, description="cm; particles nearer than this touch")
    anchor: bool = Field(True, description="put it at a particle's point where there are tracks or touching particles")
    pointing: bool = Field(False, description="of several confluences, the one that most particles point away from")
    orient_tracks: bool = Field(False, description="let tracks start at the end nearer to the vertex")
    start_showers: bool = Field(False, description="let primary showers start at their voxel nearest to the vertex")
    angle: float = Field(0.3, gt=0, description="rad; primary: vertex, how exactly a shower must point away from it")


class Containment(Strict):
    """Distances from the walls of the box."""

    margin: float = Field(5.0, ge=0, description="cm; of every voxel of a contained particle")
    fiducial: float = Field(25.0, ge=0, description="cm; of a fiducial vertex")


class Topology(Strict):
    """Which primaries count."""

    thresholds: ByType = Field(
        {PIDS[pid]: value for pid, value in THRESHOLDS.items()}, description="MeV of kinetic energy, by type"
    )

    def by_pid(self) -> dict[int, float]:
        """Thresholds by number of the type."""
        return {_NUMBER[name]: value for name, value in self.thresholds.items()}


class Settings(Strict):
    """The steps in their order: orient, directions, lengths, energies, types, interactions, vertices, topology."""

    sources: Sources = Sources()
    directions: Directions = Directions()
    local: Local = Local()
    tracking: Tracking = Tracking()
    calorimetry: Calorimetry = Calorimetry()
    scattering: Scattering = Scattering()
    template: Template = Template()
    types: Types = Types()
    points: Points = Points()
    grouping: Grouping = Grouping()
    vertex: VertexRules = VertexRules()
    containment: Containment = Containment()
    topology: Topology = Topology()

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.sources.pid == "template" and not self.template.enabled:
            raise ValueError("sources.pid is template, but template.enabled is false")
        if not self.scattering.low < self.scattering.high:
            raise ValueError("scattering.low: expected less than scattering.high")
        return self

    def classical(self) -> Settings:
        """The same steps with a classical rule wherever GrapPA would speak."""
        points = self.sources.points  # not GrapPA's answer
        sources = Sources(interactions="distance", primary="vertex", pid="template", orientation="dedx", points=points)
        changed = {
            "sources": sources,
            "template": self.template.model_copy(update={"enabled": True}),
        }
        return self.model_copy(update=changed)


def needed(settings: Settings) -> tuple[str, ...]:
    """Names of the products that :func:`weft.reco.builders.build` reads."""
    sources = settings.sources
    names = ["meta", "voxels", "charge", "fragments", "fragment_voxels"]
    names += ["candidates", "candidate_voxels", "candidate_fragments"]
    wanted = {
        "interaction_groups": sources.interactions == "grappa",
        "interaction_primary": sources.primary == "grappa",
        "interaction_pid": sources.pid == "grappa",
        "interaction_orientation": sources.orientation == "grappa",
        "interaction_momentum": sources.momentum == "grappa",
        "interaction_vertex": sources.vertex == "grappa",
        "shower_primary": sources.fragment_primary == "grappa",
        "points": sources.orientation == "points" or sources.points == "ppn",
    }
    return (*names, *(name for name, is_read in wanted.items() if is_read))
