"""Score predictions against the truth, shard by shard. Loads no model: anybody's predictions can be scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weft.engine.task import Task
from weft.io.store import EventStore
from weft.metrics.scores import Scores, write_scores
from weft.reco.feed import FedStore


def evaluate(
    task: Task[Any],
    shards: Mapping[str, Mapping[str, Mapping[str, str | Path]]],
    output: Path,
    providers: Mapping[str, str] | None = None,
) -> None:
    """Write the score tables of a variant to the folder ``output``.

    shards: ``{split: {shard: {alias: file}}}``, event stores: ``truth``, those of the earlier stages that the variant
        was fed with, and ``prediction``.
    providers: ``{product: alias}``, where the stage's needs say to look for a product.
    """

    def scored() -> Iterator[Scores]:
        for split, stores in shards.items():
            for shard, files in stores.items():
                with EventStore.open(files) as store:
                    yield task.score(FedStore(store, providers), split, shard)

    write_scores(output, scored())
