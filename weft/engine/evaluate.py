"""Score predictions against the truth, shard by shard. Loads no model: anybody's predictions can be scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weft.engine.corpus import TRUTH
from weft.engine.memory import PREDICTION
from weft.engine.task import Task
from weft.io.store import EventStore
from weft.metrics.scores import Scores, write_scores


def evaluate(task: Task[Any], shards: Mapping[str, Mapping[str, tuple[str | Path, str | Path]]], output: Path) -> None:
    """Write the score tables of a variant to the folder ``output``.

    shards: ``{split: {shard: (truth, prediction)}}``, event stores.
    """

    def scored() -> Iterator[Scores]:
        for split, files in shards.items():
            for shard, (truth, prediction) in files.items():
                with EventStore.open({TRUTH: Path(truth), PREDICTION: Path(prediction)}) as store:
                    yield task.score(store, split, shard)

    write_scores(output, scored())
