"""What the stages of an experiment take from each other: it is made, it is read, and it belongs together.

A product that nobody is named for is read from the truth, so a name that is misspelt would feed a stage with true
products without a word.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from weft.config.experiment import Experiment, Need, Stage
from weft.config.loading import ConfigError, closest
from weft.engine.task import Task
from weft.reco.feed import TRUTH, qualified

Tasks = Mapping[str, Mapping[str, Task[Any]]]
"""the task of each stage at each point of its sweep; of one that is not swept at ``""``"""


@runtime_checkable
class ChecksProviders(Protocol):
    """A task that can say more of what it takes of the stages that feed it than the names of the products."""

    def check_providers(self, providers: Mapping[str, Task[Any]]) -> None:
        """Raise ConfigError if they do not make it; providers: ``{stage: its task}``, those it needs predictions of."""


def require_met(experiment: Experiment, tasks: Tasks) -> None:
    """Raise ConfigError where a stage is to read what is not made, needs what it does not read, reads of a stage that
    it does not need, or is to be fed with products that do not belong together."""
    for name, stage in experiment.stages.items():
        where = f"experiment '{experiment.name}', stage '{name}'"
        for task in tasks[name].values():
            if isinstance(task, ChecksProviders):
                _require_fitting(where, stage, task, tasks)
            _require_made(where, stage, task, tasks)
            _require_named(where, stage, task)
            _require_together(where, stage, task, experiment.stages, tasks)


def _require_fitting(where: str, stage: Stage, task: ChecksProviders, tasks: Tasks) -> None:
    """The task itself has nothing to say against the stages that feed it."""
    given = ([(name, made) for made in at_points(tasks, name, stage.needs[name])] for name in stage.inputs)
    for chosen in itertools.product(*given):
        try:
            task.check_providers(dict(chosen))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


def _require_made(where: str, stage: Stage, task: Task[Any], tasks: Tasks) -> None:
    """What is needed is made there, and read here."""
    for needed, need in stage.needs.items():
        key = f"{where}: needs.{needed}.predictions"
        for product in need.predictions:
            for maker in at_points(tasks, needed, need):
                made = [schema.name for schema in maker.makes]
                if product not in made:
                    raise ConfigError(
                        f"{key}: stage '{needed}' makes no '{product}'{closest(product, made)}; "
                        f"it makes: {', '.join(made)}"
                    )
            read = {*task.reads, *(task.labels if needed == TRUTH else ())}
            if product not in read and f"{needed}/{product}" not in read:
                raise ConfigError(
                    f"{key}: with these options task '{stage.task}' does not read '{product}'"
                    f"{closest(product, [n for n in task.reads if '/' not in n])}; leave it out"
                )


def _require_named(where: str, stage: Stage, task: Task[Any]) -> None:
    """What is read of a certain stage is needed of it; what is read of any is needed of one at most."""
    for read in task.reads:
        alias, _, product = read.rpartition("/")
        givers = [needed for needed, need in stage.needs.items() if product in need.predictions]
        if alias not in ("", TRUTH) and alias not in givers:
            raise ConfigError(f"{where}: '{product}' of '{alias}' is read: add it to needs.{alias}.predictions")
        if not alias and len(givers) > 1:
            raise ConfigError(f"{where}: needs has '{product}' of several stages, {', '.join(givers)}: say of one")


def _require_together(where: str, stage: Stage, task: Task[Any], stages: Mapping[str, Stage], tasks: Tasks) -> None:
    """Rows of a product that belong to those of another one come with that one: groups of fragments with the
    fragments that were grouped."""
    for product in task.reads:
        maker = _origin(stage, product)
        for parent in _parents(tasks, maker, product):
            if parent not in task.reads:
                continue
            own = maker == TRUTH or parent in _made(tasks, maker)
            meant, read = maker if own else _origin(stages[maker], parent), _origin(stage, parent)
            if meant != read:
                raise ConfigError(
                    f"{where}: '{product}' {_of(maker)} belongs to '{parent}' {_of(meant)}, but needs has '{parent}' "
                    f"{_of(read)}"
                )


def _origin(stage: Stage, product: str) -> str:
    """The stage that a product is read from where predictions are fed, or the truth."""
    return qualified(product, stage.providers).partition("/")[0]


def _of(origin: str) -> str:
    return "of the truth" if origin == TRUTH else f"of '{origin}'"


def _parents(tasks: Tasks, maker: str, product: str) -> Iterator[str]:
    """The products that the rows or items of a product belong to; of a true one as of the predicted ones."""
    makers = tasks if maker == TRUTH else [maker]
    yield from dict.fromkeys(
        parent
        for name in makers
        for task in tasks[name].values()
        for schema in task.makes
        if schema.name == product
        for parent in (schema.on, schema.items_on)
        if parent is not None
    )


def _made(tasks: Tasks, name: str) -> set[str]:
    return {schema.name for task in tasks[name].values() for schema in task.makes}


def at_points(tasks: Tasks, name: str, need: Need) -> Sequence[Task[Any]]:
    """The task of a stage that is needed, at each point at which it may be."""
    if name == TRUTH:
        return []
    return [tasks[name][need.point]] if need.point is not None else list(tasks[name].values())
