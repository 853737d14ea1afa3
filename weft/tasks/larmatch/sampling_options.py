"""Options of the triplets that a training step sees of an event (specs/larmatch.md §5.2)."""

from __future__ import annotations

from pydantic import Field, field_validator

from weft.config.strict import Strict
from weft.io.larmatch_products import KEY_POINT_KINDS

#: Triplets near key points of each kind; the first kinds are served first, being those that events have fewest of.
QUOTAS = {
    "nu_vertex": 2000,
    "shower_start": 5000,
    "michel": 5000,
    "track_start": 2000,
    "track_end": 2000,
    "delta": 5000,
}


class ChargeCut(Strict):
    """Triplets must have charge in several of their pixels."""

    above: float = Field(30.0, ge=0, description="ADC; a pixel has charge if it has more")
    pixels: int = Field(2, ge=1, le=3, description="so many of the three pixels of a triplet must have it")


class KeyPointShare(Strict):
    """A share of the good triplets is drawn from those close to key points."""

    share: float = Field(0.5, gt=0, le=1, description="at most this part of the good triplets of a sample")
    above: float = Field(
        0.05, ge=0, lt=1, description="score of the labels from which a triplet is close to a key point"
    )
    quotas: dict[str, int] = Field(
        QUOTAS,
        min_length=1,
        description="most triplets close to key points of each kind; kinds left out have none. Served in the order "
        + ", ".join(QUOTAS),
    )

    @field_validator("quotas")
    @classmethod
    def _known(cls, quotas: dict[str, int]) -> dict[str, int]:
        for kind, number in quotas.items():
            if kind not in KEY_POINT_KINDS:
                raise ValueError(f"'{kind}' is no kind of key point: there are {', '.join(KEY_POINT_KINDS)}")
            if number < 1:
                raise ValueError(f"{kind}: {number}, expected at least 1; leave the kind out instead")
        return quotas


class SamplingOptions(Strict):
    """Triplets drawn of an event at every visit, without replacement and never one of unknown truth."""

    triplets: int | None = Field(30_000, ge=1, description="triplets of an event; null: all")
    balance: bool = Field(
        True,
        description="as many good ones as ghosts, the lack of one filled from the other; false: as they come",
    )
    charge: ChargeCut | None = Field(None, description="leave out triplets with little charge")
    key_points: KeyPointShare | None = Field(KeyPointShare(), description="look more often where key points are")
