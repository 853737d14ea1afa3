"""Run a trained stage, or its baseline, over one shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from weft.engine.corpus import Corpus
from weft.engine.task import Products, Task
from weft.errors import WeftError
from weft.io.products import EventId
from weft.io.provenance import collect
from weft.io.writer import StoreWriter


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
) -> None:
    """Write the predictions of ``model`` on one shard to ``output``, atomically.

    inputs: ``{alias: file}``, the store of the events under ``truth`` (it need not hold labels) and those of
        earlier stages under their names.
    providers: ``{product: alias}``, where the stage's needs say to look for a product.
    """
    corpus = Corpus([inputs], providers)
    store = corpus.store(0)
    corpus.require(task.reads)
    parents = {alias: file.content_hash for alias, file in store.files.items()}
    predictions = (
        _baseline(task, model, corpus)
        if baseline
        else _network(task, model, corpus, batch_size, gpu=gpu, threads=threads)
    )
    provenance = collect(config=options, inputs=parents, task=task.name, model=str(model))
    with StoreWriter(output, task.makes, provenance=provenance, parents=parents) as writer:
        for event, products in zip(store.events, predictions, strict=True):
            writer.append(EventId(*(int(event[name]) for name in EventId._fields)), products)
    corpus.close()


def _baseline(task: Task[Any], model: Path, corpus: Corpus) -> Iterator[Products]:
    fitted = task.load_baseline(model)
    return (fitted.predict(event) for event in corpus)


def _network(
    task: Task[Any], model: Path, corpus: Corpus, batch_size: int, *, gpu: bool, threads: int | None
) -> Iterator[Products]:
    import torch

    from weft.engine.device import choose_device
    from weft.engine.model_file import load_weights, read_model
    from weft.engine.stream import EventBatches

    if threads:
        torch.set_num_threads(threads)
    content = read_model(model)
    if content.task != task.name:
        raise WeftError(f"{model}: a model of task '{content.task}', not '{task.name}'")
    _require_same_options(task, content.options, model)
    network = task.network()
    load_weights(network, content.state, str(model))
    device = choose_device(int(gpu))
    network.to(device).eval()
    batches = EventBatches(task, corpus, batch_size, labels=False)
    with torch.inference_mode():
        for k in range(len(batches)):
            yield from task.predict(network, batches[k].to(device))


def _require_same_options(task: Task[Any], trained: Mapping[str, Any], model: Path) -> None:
    """A network must be fed as in its training; options of the loss and the baseline do not matter here."""
    asked = task.options.model_dump(mode="json")
    for section in ("model", "data"):
        for key, value in asked[section].items() if section in asked else ():
            if trained.get(section, {}).get(key) != value:
                was = trained.get(section, {}).get(key)
                raise WeftError(f"{model}: trained with {section}.{key} = {was}, deploy asks for {value}")
