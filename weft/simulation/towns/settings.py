"""Every number that a simulated town depends on, with its unit and bounds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.simulation.shared_settings import KindSettings, Span, require_increasing


class Ground(Strict):
    """Terrain: hills, roads, and water that lies below all of it."""

    hills: float = Field(
        2.5, ge=0, le=100, description="r.m.s. height of the hills over the bank, m; hollows are lower than the water"
    )
    terraces: float = Field(0.4, ge=0, le=1, description="share of tiles whose hills are flat steps with steep sides")
    step: Span = Field((1.5, 3.5), description="height of these steps, m")
    hill_size: float = Field(40.0, gt=0, le=5000, description="distance over which the ground rises and falls, m")
    rough: float = Field(0.08, ge=0, le=5, description="r.m.s. height of bumps as wide as a face, m")
    water: float = Field(0.9, ge=0, le=1, description="share of tiles with a shore or a river")
    water_share: Span = Field((0.15, 0.3), description="share of such a tile that is water")
    waves: float = Field(0.08, ge=0, le=5, description="r.m.s. height of the water's surface, m")
    roads: tuple[int, int] = Field((1, 2), description="fewest and most roads of a tile")
    road_width: Span = Field((5.0, 8.0), description="m")

    @model_validator(mode="after")
    def _spans(self) -> Ground:
        require_increasing("water_share", self.water_share, 0.01, 0.9)
        require_increasing("step", self.step, 0.1, 50)
        require_increasing("roads", self.roads, 0, 20)
        require_increasing("road_width", self.road_width, 1, 50)
        return self


Roof = Literal["flat", "gable", "hip", "pyramid", "dome", "shed"]


class Buildings(Strict):
    """Houses: a rectangle or an L with one of several roofs."""

    per_hectare: float = Field(22.0, ge=0, le=1000, description="houses per 10⁴ m² of the tile; as many as have room")
    width: Span = Field((7.0, 14.0), description="shorter side, m")
    elongation: Span = Field((1.0, 1.9), description="longer side over shorter side")
    height: Span = Field((3.0, 14.0), description="of the walls, m")
    roofs: dict[Roof, float] = Field(
        {"flat": 3, "gable": 3, "hip": 2, "pyramid": 1, "dome": 1, "shed": 1},
        min_length=1,
        description="how frequent each roof is",
    )
    wings: float = Field(0.3, ge=0, le=1, description="share of the buildings that are an L")
    green_roofs: float = Field(0.15, ge=0, le=1, description="share of flat roofs on which grass grows")
    huts: float = Field(14.0, ge=0, le=1000, description="huts and garages per 10⁴ m², as big as a van")

    @model_validator(mode="after")
    def _spans(self) -> Buildings:
        require_increasing("width", self.width, 2, 200)
        require_increasing("elongation", self.elongation, 1, 20)
        require_increasing("height", self.height, 1, 300)
        if min(self.roofs.values()) < 0 or sum(self.roofs.values()) <= 0:
            raise ValueError("roofs: expected numbers of 0 or more, not all 0")
        return self


class Plants(Strict):
    """High vegetation: broad crowns, conifers, and bushes."""

    per_hectare: float = Field(60.0, ge=0, le=5000, description="trees per 10⁴ m²; as many as have room")
    height: Span = Field((4.0, 13.0), description="of a tree, m")
    conifers: float = Field(0.3, ge=0, le=1, description="share of the trees that are cones")
    bushes: float = Field(25.0, ge=0, le=5000, description="bushes per 10⁴ m², as big as a car")
    bumps: float = Field(0.14, ge=0, le=0.5, description="r.m.s. of the bumps of a crown, as a share of its radius")

    @model_validator(mode="after")
    def _spans(self) -> Plants:
        require_increasing("height", self.height, 1, 60)
        return self


class Vehicles(Strict):
    """Cars on and beside roads, boats on water, and heaps on the ground that are as big."""

    cars: float = Field(35.0, ge=0, le=5000, description="cars per 10⁴ m² of the tile; as many as have room")
    vans: float = Field(0.25, ge=0, le=1, description="share of the cars that are vans")
    boats: float = Field(60.0, ge=0, le=5000, description="boats per 10⁴ m² of water; as many as have room")
    boat_length: Span = Field((4.0, 11.0), description="m")
    heaps: float = Field(18.0, ge=0, le=5000, description="heaps of earth or gravel per 10⁴ m², as big as a car")

    @model_validator(mode="after")
    def _spans(self) -> Vehicles:
        require_increasing("boat_length", self.boat_length, 1, 100)
        return self


class Textures(Strict):
    """Pictures on the surfaces: what a camera sees, in files of at most `page` pixels a side."""

    gsd: float = Field(0.15, gt=0, le=5, description="size of a pixel on the surface, m")
    page: int = Field(2048, ge=64, le=16384, description="longest side of a texture, pixels; more textures where full")
    quality: int = Field(88, ge=1, le=100, description="of the JPEG")
    sun: float = Field(0.45, ge=0, le=1, description="share of the light that comes from the sun and makes shade")
    brightness: float = Field(0.22, ge=0, le=2, description="r.m.s. of the logarithm of a tile's brightness")
    tint: float = Field(0.07, ge=0, le=1, description="the same of its red and blue")
    variety: float = Field(0.2, ge=0, le=2, description="r.m.s. of the logarithm of the brightness of an object")
    grain: float = Field(6.0, ge=0, le=100, description="noise of the camera, of 255")
    palette: Literal["confusable", "distinct"] = Field(
        "confusable",
        description="confusable: classes have each other's colours, as in photographs; distinct: each has its own",
    )


class Damage(Strict):
    """What meshes of photographs are like: noise, and triangles that do not fit together."""

    noise: float = Field(0.1, ge=0, le=5, description="r.m.s. shift of a vertex, m")
    slide: float = Field(0.25, ge=0, le=0.4, description="largest shift along the surface, as a share of an edge")
    duplicates: float = Field(0.01, ge=0, le=1, description="share of the faces that the file has twice")
    junctions: float = Field(0.02, ge=0, le=1, description="share of the faces cut in two, their neighbours not")
    holes: float = Field(0.005, ge=0, le=0.9, description="share of the faces that are missing")
    unlabelled: float = Field(0.02, ge=0, le=1, description="share of the faces without a class, in patches")
    patch: float = Field(3.0, gt=0, le=1000, description="size of these patches, m")
    untextured: float = Field(0.01, ge=0, le=1, description="share of the faces without a texture")


class TownSettings(KindSettings):
    """Settings of simulated towns: one square tile each, written as the tiles of SUM are."""

    edge: float = Field(80.0, ge=20, le=2000, description="side of the tile, m")
    resolution: float = Field(2.0, ge=0.1, le=20, description="edge of a face of the median size, m")
    unevenness: float = Field(0.7, ge=0, le=2, description="r.m.s. of the logarithm of the largest area of a face")
    ground: Ground = Ground()
    buildings: Buildings = Buildings()
    plants: Plants = Plants()
    vehicles: Vehicles = Vehicles()
    textures: Textures = Textures()
    damage: Damage = Damage()
    encoding: Literal["ascii", "binary"] = Field("ascii", description="of the PLY; binary is little-endian")

    @model_validator(mode="after")
    def _possible(self) -> TownSettings:
        if self.edge / self.resolution > 2000:
            raise ValueError(f"edge {self.edge:g} m: expected at most 2000 faces of {self.resolution:g} m along it")
        if self.edge / self.textures.gsd > self.textures.page:
            raise ValueError(
                f"textures: the ground takes {self.edge / self.textures.gsd:.0f} pixels a side; "
                f"expected at most textures.page, {self.textures.page}"
            )
        return self
