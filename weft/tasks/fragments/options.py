"""Options of the fragments task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from weft.config.strict import Strict
from weft.io.products import CLASSES, DELTA, TRACK

if TYPE_CHECKING:
    from weft.reco.dbscan_fragments import Rule

ClassName = Literal["shower", "track", "michel", "delta"]
#: Numbers of the classes by name.
NUMBER: dict[str, int] = {name: number for number, name in CLASSES.items()}
DBSCAN, TRUTH = "dbscan", "truth"

Length = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Value = TypeVar("Value", float, int)


class DbscanOptions(Strict):
    """Density-based clustering of the voxels of each class; a value for all classes, or one for each by name."""

    eps: Length | dict[ClassName, Length] = Field(1.999, description="voxels; so near are neighbours")
    min_samples: Count | dict[ClassName, Count] = Field(
        1, description="neighbours of a voxel, itself included, that carries a cluster on; 1: connected components"
    )
    min_size: Count | dict[ClassName, Count] = Field(3, description="voxels; smaller fragments are dropped")
    split: tuple[ClassName, ...] = Field(
        ("track",), description="classes whose components are cut near points; the stage then needs `points`"
    )
    mask_radius: Length | dict[ClassName, Length] = Field(5.0, description="voxels; what is set aside around a point")
    point_classes: tuple[ClassName, ...] = Field(("track", "michel"), description="points of which classes cut")
    point_score: float = Field(0.9, ge=0, le=1, description="least probability of such a point")
    point_class_score: float = Field(0.3, ge=0, le=1, description="least probability of its class")
    track_include_delta: bool = Field(
        True, description="deltas hold the pieces of a track together, and are taken out again"
    )

    def rule(self, name: ClassName, split: bool = True) -> Rule:
        """How the voxels of a class are divided; split: whether components may be cut."""
        from weft.reco.dbscan_fragments import Rule

        cut = split and name in self.split
        bridges = (DELTA,) if NUMBER[name] == TRACK and self.track_include_delta else ()
        return Rule(
            _of(self.eps, name),
            _of(self.min_samples, name),
            _of(self.min_size, name),
            _of(self.mask_radius, name) if cut else None,
            bridges,
        )


def _of(value: Value | dict[ClassName, Value], name: ClassName) -> Value:
    return value[name] if isinstance(value, dict) else value


class ModelOptions(Strict):
    """Which class comes from where."""

    providers: dict[ClassName, str] = Field(
        {"shower": DBSCAN, "track": DBSCAN, "michel": DBSCAN, "delta": DBSCAN},
        min_length=1,
        description="{class: dbscan, truth, or an earlier stage whose fragments of the class are taken}; a class that "
        "is left out has no fragments",
    )
    dbscan: DbscanOptions = DbscanOptions()

    @property
    def by_dbscan(self) -> tuple[ClassName, ...]:
        """Classes that DBSCAN divides."""
        return tuple(name for name, provider in self.providers.items() if provider == DBSCAN)

    @property
    def stages(self) -> tuple[str, ...]:
        """The other providers, each once."""
        return tuple(dict.fromkeys(p for p in self.providers.values() if p != DBSCAN))

    @model_validator(mode="after")
    def _complete(self) -> ModelOptions:
        for key in ("eps", "min_samples", "min_size", "mask_radius"):
            value, wanted = getattr(self.dbscan, key), self.by_dbscan
            if key == "mask_radius":
                wanted = tuple(name for name in wanted if name in self.dbscan.split)
            for name in wanted:
                if isinstance(value, dict) and name not in value:
                    raise ValueError(f"dbscan.{key}: no value for {name}, which DBSCAN divides")
        return self


class DataOptions(Strict):
    """What beside voxels and semantics is read, and what is judged."""

    proposals: bool = Field(
        False, description="showers start where `point_proposals` say, which the stage then needs; else by their shape"
    )
    break_clusters: bool = Field(
        True, description="in the score, pieces of a particle that do not touch are fragments of their own"
    )


class BaselineOptions(Strict):
    """DBSCAN of every class without any points."""

    eps: float = Field(1.999, gt=0, description="voxels; so near are neighbours")
    min_samples: int = Field(1, ge=1, description="neighbours of a voxel that carries a cluster on")
    min_size: int = Field(3, ge=1, description="voxels; smaller fragments are dropped")


class Options(Strict):
    """Fragments of each class by DBSCAN, from earlier stages, or from the truth."""

    model: ModelOptions = ModelOptions()
    data: DataOptions = DataOptions()
    baseline: BaselineOptions = BaselineOptions()
