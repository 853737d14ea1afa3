"""Run a trained stage, or its baseline, over one shard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.engine.corpus import Corpus
from weft.engine.fed import feed_of, maker
from weft.engine.predict import predictor
from weft.engine.task import Task
from weft.io.products import EventId
from weft.io.provenance import collect, of_file
from weft.io.writer import StoreWriter
from weft.progress import Report


def deploy(
    task: Task[Any],
    model: Path,
    inputs: Mapping[str, str | Path],
    output: Path,
    options: Mapping[str, Any],
    *,
    baseline: bool = False,
    providers: Mapping[str, str] | None = None,
    batch_size: int = 8,
    gpu: bool = False,
    threads: int | None = None,
    views: int = 1,
    progress: Report | None = None,
) -> None:
    """Write the predictions of ``model`` on one shard to ``output``, atomically.

    inputs: ``{alias: file}``, the store of the events under ``truth`` (it need not hold labels) and those of
        earlier stages under their names.
    views: of each event, the mean over which is the prediction.
    providers: ``{product: alias}``, where the stage's needs say to look for a product.
    Raises WeftError where a network is fed otherwise than in its training (:mod:`weft.engine.fed`).
    """
    corpus = Corpus([inputs], providers)
    store = corpus.store(0)
    corpus.require(task.reads)
    parents = {alias: file.content_hash for alias, file in store.files.items()}
    feed = feed_of(corpus, task.reads, providers or {}, options.get("differs", ()))
    predict = predictor(
        task, model, baseline=baseline, batch_size=batch_size, gpu=gpu, threads=threads, views=views, feed=feed
    )
    provenance = collect(config=options, inputs=parents, model=of_file(model), **maker(task))
    with StoreWriter(output, task.makes, provenance=provenance, parents=parents) as writer:
        for done, (event, products) in enumerate(zip(store.events, predict(corpus), strict=True), 1):
            writer.append(EventId.of(event), products)
            if progress is not None:
                progress(done, len(corpus))
    corpus.close()
