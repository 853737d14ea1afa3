"""A stage made ready to predict: its network, its baseline, or what does not learn, loaded once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from weft.engine.fed import KEY, Feed, require_fed_alike
from weft.engine.fixed import settled_options
from weft.engine.task import Event, FixedTask, Products, Task
from weft.errors import WeftError
from weft.reco.feed import Events

if TYPE_CHECKING:
    from torch import nn

    from weft.engine.model_file import ModelFile

Predict = Callable[[Events], Iterator[Products]]
"""the products of each of some events, in their order"""


def predictor(
    task: Task[Any],
    model: Path | None,
    *,
    baseline: bool = False,
    batch_size: int = 8,
    gpu: bool = False,
    threads: int | None = None,
    views: int = 1,
    adopt: Callable[[nn.Module], None] | None = None,
    feed: Feed | None = None,
) -> Predict:
    """What predicts with the file ``model`` of a trained stage, or of its baseline.

    model: None where there is nothing to learn, and no file that could say that something else was asked for.
    views: of each event, the mean over which is the prediction of a network (:meth:`weft.engine.task.Task.mean`).
    adopt: is given the network once it is ready, such as :meth:`weft.engine.shared_trunks.SharedTrunks.adopt`.
    feed: what a network is about to be fed: an error where it has learned from something else.
    """
    if isinstance(task, FixedTask) and not baseline:
        if model is not None:
            require_same_options(task, settled_options(model, task.name), model)
        return lambda events: _one_by_one(task.predict_event, events)
    if model is None:
        raise WeftError(f"task '{task.name}': no model file was given")
    if baseline:
        fitted = task.load_baseline(model)
        return lambda events: _one_by_one(fitted.predict, events)
    return _network(task, model, batch_size, gpu=gpu, threads=threads, views=views, adopt=adopt, feed=feed)


def _one_by_one(predict: Callable[[Event], Products], events: Events) -> Iterator[Products]:
    for k in range(len(events)):
        try:
            products = predict(events[k])
        except WeftError as error:
            file, row = events.locate(k)
            raise WeftError(f"{events.shards[file]['truth']}, event {row}: {error}") from error
        yield products


def _network(
    task: Task[Any],
    model: Path,
    batch_size: int,
    *,
    gpu: bool,
    threads: int | None,
    views: int,
    adopt: Callable[[nn.Module], None] | None,
    feed: Feed | None,
) -> Predict:
    import torch

    from weft.engine.device import choose_device
    from weft.engine.model_file import MEASURED, load_weights
    from weft.engine.stream import EventBatches

    if threads:
        torch.set_num_threads(threads)
    content = model_of(task, model)
    if feed is not None and feed.makers:
        if KEY not in content.provenance:
            print(f"{model}: does not say what it learned from: not compared with what it is fed", flush=True)
        require_fed_alike(content.provenance.get(KEY), feed, str(model))
    network = task.network()
    load_weights(network, content.state, str(model))
    try:
        task.prepare(network, content.provenance.get(MEASURED, {}))
    except WeftError as error:
        raise WeftError(f"{model}: {error}") from None
    device = choose_device(int(gpu))
    network.to(device).eval()
    if adopt is not None:
        adopt(network)

    def predict(events: Events) -> Iterator[Products]:
        several = [EventBatches(task, events, batch_size, labels=False, view=view) for view in range(views)]
        for k in range(len(several[0])):
            batch = several[0][k].to(device)
            with torch.inference_mode():
                if views == 1:
                    predicted = task.predict(network, batch)
                else:
                    outputs = [network(batch), *(network(other[k].to(device)) for other in several[1:])]
                    predicted = task.decode(task.mean(outputs), batch)
            yield from predicted

    return predict


def model_of(task: Task[Any], path: Path) -> ModelFile:
    """The model in a file, which must be of the task and fed as the stage asks (:func:`require_same_options`)."""
    from weft.engine.model_file import read_model

    content = read_model(path)
    if content.task != task.name:
        raise WeftError(f"{path}: a model of task '{content.task}', not '{task.name}'")
    require_same_options(task, content.options, path)
    return content


def require_same_options(task: Task[Any], trained: Mapping[str, Any], model: Path) -> None:
    """A stage must be fed as in its training; options of the loss, the baseline and random views do not matter here.

    An option that a model does not know came later: it was trained with its default, which is what was done before.
    """
    asked = task.options.model_dump(mode="json")
    trained = _with_defaults(task, trained)
    for section in ("model", "data"):
        free = task.variations if section == "data" else frozenset[str]()
        was = _without(trained.get(section, {}), free)
        for key, value in _without(asked.get(section, {}), free).items():
            if was.get(key) != value:
                raise WeftError(f"{model}: trained with {section}.{key} = {was.get(key)}, deploy asks for {value}")


def _with_defaults(task: Task[Any], trained: Mapping[str, Any]) -> Mapping[str, Any]:
    """Recorded options with the defaults of those that have been added since; as they are where one has gone."""
    sections = {key: trained[key] for key in task.options_model.model_fields if key in trained}
    try:
        return task.options_model.model_validate(sections).model_dump(mode="json")
    except ValidationError:
        return trained


def _without(options: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Options without some of them, which are keys or, with a dot, keys of options inside: ``labels.truth``."""
    kept = {}
    for key, value in options.items():
        if key not in keys:
            inner = {name.removeprefix(f"{key}.") for name in keys if name.startswith(f"{key}.")}
            kept[key] = _without(value, inner) if inner and isinstance(value, Mapping) else value
    return kept
