"""What a stage was fed in its training, and whether a deploy feeds it alike.

A stage that learns nothing decides with its options what its products are: triplets of another search, or fragments of
another distance, are other things under the same name, and a network that has learned from the ones can be wrong about
the others without a word. So a store says by which options it was made, a model what it learned from, and both are
compared. Products of a network are not: another training may be better, and its options say nothing of that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from weft.engine.corpus import TRUTH, Corpus
from weft.engine.task import Task
from weft.errors import WeftError
from weft.reco.feed import qualified

KEY = "fed_by"
"""of the record of a model: :data:`Makers`"""
Makers = Mapping[str, Mapping[str, Any]]
"""who made each product that is read of an earlier stage: ``{product: {"task": name, "method": {option: value}}}``"""


class Feed(NamedTuple):
    """What a stage is about to be fed, and the model that it has."""

    makers: Makers
    stages: Mapping[str, str]
    """``{product: stage}``"""
    differs: Collection[str] = ()
    """``<stage>.<option>`` that may differ from the training"""


def maker(task: Task[Any]) -> dict[str, Any]:
    """What a store says of the stage that made it."""
    return {"task": task.name, "method": task.method()}


def feed_of(corpus: Corpus, reads: Sequence[str], providers: Mapping[str, str], differs: Collection[str] = ()) -> Feed:
    """What a stage that reads these products is fed by files, as these say.

    A file from before this was recorded says nothing. Raises WeftError where files of one stage were made with
    different options.
    """
    makers: dict[str, Mapping[str, Any]] = {}
    stages: dict[str, str] = {}
    for k in range(len(corpus.shards)):
        for alias, product in _read_of_stages(reads, providers):
            file = corpus.store(k).files[alias]
            if "method" not in file.provenance:
                continue
            made = {"task": file.provenance["task"], "method": file.provenance["method"]}
            for option, first, other in differences(makers.get(product, made), made):
                raise WeftError(
                    f"{file.path}: made with {option} = {_shown(other)}, other files of '{alias}' with "
                    f"{_shown(first)}; make them again"
                )
            makers[product], stages[product] = made, alias
    return Feed(makers, stages, differs)


def feed_from(
    reads: Sequence[str], providers: Mapping[str, str], tasks: Mapping[str, Task[Any]], differs: Collection[str] = ()
) -> Feed:
    """The same of stages that run together; tasks: by stage."""
    found = [(alias, product) for alias, product in _read_of_stages(reads, providers) if alias in tasks]
    return Feed({p: maker(tasks[alias]) for alias, p in found}, {p: alias for alias, p in found}, differs)


def require_fed_alike(trained: Makers | None, feed: Feed, model: str) -> None:
    """Raise WeftError where a product is made by other options than that from which the model has learned.

    trained: as the model says; None, or without a product, where it says nothing or has learned from the truth.
    An option that one of both does not know, being of another version, is not compared.
    """
    for product, made in feed.makers.items():
        learned_from = (trained or {}).get(product)
        if learned_from is None:
            continue
        stage = feed.stages[product]
        for option, was, now in differences(learned_from, made):
            key = f"{stage}.{option}"
            if key not in feed.differs:
                raise WeftError(
                    f"{model}: learned from '{product}' made with {option} = {_shown(was)}, stage '{stage}' makes them "
                    f"with {_shown(now)}: set that, train again, or accept it with differs: [{key}]"
                )


def differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Options in which two makers differ, with the value of each; the task itself is one."""
    if first["task"] != other["task"]:
        yield "task", first["task"], other["task"]
        return
    for option, value in other["method"].items():
        if option in first["method"] and first["method"][option] != value:
            yield option, first["method"][option], value


def _read_of_stages(reads: Sequence[str], providers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in reads:
        alias, _, product = qualified(name, providers).partition("/")
        if alias != TRUTH:
            yield alias, product


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
