"""Options of the reconstruction task."""

from __future__ import annotations

from pydantic import Field

from weft.config.strict import Strict
from weft.reco.settings import Settings


class BaselineOptions(Strict):
    """The same objects by classical rules: interactions by distance, types by dE/dx, primaries by the vertex."""

    distance: float = Field(3.0, gt=0, description="cm; particles with voxels nearer than this are one interaction")


class Options(Strict):
    """Fragments, particles and interactions, in steps: orient, measure, energies, types, vertices, topology."""

    model: Settings = Settings()
    baseline: BaselineOptions = BaselineOptions()
