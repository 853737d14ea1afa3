"""Two toy stages after the toy network: voxels gathered by class, and a count of what was gathered. No learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from weft.engine.task import Event, FixedTask, Products, Store
from weft.io.products import Column, Filtered, Ragged, Schema
from weft.metrics.scores import Scores
from weft.report.figure import Figure

PIECES = Schema("pieces", "table", np.dtype("f4"), (Column("charge", "MeV"),), description="one for each class")
PIECE_VOXELS = Schema(
    "piece_voxels",
    "list",
    np.dtype("i4"),
    (Column("voxel"),),
    on="voxels",
    items_on="pieces",
    description="their voxels",
)
KEPT = Schema(
    "kept",
    "table",
    np.dtype("f4"),
    (Column("charge", "MeV"),),
    on="pieces",
    filtered=True,
    description="those of more than 10 voxels",
)
SIZES = Schema("pieces", "table", np.dtype("i4"), (Column("voxels"),), description="voxels of each piece")
LARGE = Schema("large", "table", np.dtype("i1"), (Column("large"),), on="pieces", description="1: more than 10 voxels")


class PieceOptions(BaseModel):
    model: dict[str, int] = {}


class Pieces(FixedTask[PieceOptions]):
    """The voxels of each class that there is."""

    name = "pieces"
    options_model = PieceOptions
    reads = ("voxels", "charge", "semantics")
    headline = ("pieces",)
    makes: tuple[Schema, ...] = (PIECES, PIECE_VOXELS, KEPT)

    def predict_event(self, event: Event) -> Products:
        semantics = event["semantics"][:, 0]
        items = [np.flatnonzero(semantics == k) for k in np.unique(semantics)]
        charge = [float(event["charge"][rows].sum()) for rows in items]  # float64: a store has float32
        pieces, voxels = np.array(charge)[:, None], Ragged.of(items, np.empty(0, np.int64))
        large = np.flatnonzero(voxels.counts > 10)
        return {"pieces": pieces, "piece_voxels": voxels, "kept": Filtered(pieces[large], large)}

    def score(self, store: Store, split: str, shard: str) -> Scores:
        fed, made = store["semantics"], store["prediction/piece_voxels"]
        rows = [len(made[i]) - len(np.unique(fed[i])) for i in range(len(store))]
        events = pd.DataFrame({"split": split, "shard": shard, "missed": rows})
        return Scores(events, pd.DataFrame({"split": []}), pd.DataFrame({"split": []}))

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"pieces": 1.0 - counts["missed"]})

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        return []


class Sizes(Pieces):
    """How many voxels each piece has, under the name of what it counts."""

    name = "sizes"
    reads = ("piece_voxels", "pieces", "kept")
    makes = (SIZES, LARGE)

    def predict_event(self, event: Event) -> Products:
        assert event["pieces"].dtype == np.float32  # as a store has it, not as it was made
        assert "piece_voxels" in event
        assert "truth/piece_voxels" not in event
        kept = event["kept"]
        np.testing.assert_array_equal(kept.values, event["pieces"][kept.index])
        sizes = event["piece_voxels"].counts[:, None]
        large = np.zeros_like(sizes, np.int8)
        large[kept.index] = 1
        return {"pieces": sizes, "large": large}


def pieces() -> Pieces:
    return Pieces(PieceOptions())


def sizes(**model: Any) -> Sizes:
    return Sizes(PieceOptions(model=model))
