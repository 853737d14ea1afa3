"""Which module reads what from which other one, in prediction and in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from weft.config.loading import closest
from weft.engine.task import Task
from weft.errors import WeftError

if TYPE_CHECKING:
    from weft.tasks.joint.options import ModuleOptions


@dataclass(frozen=True)
class Module:
    """One module of a joint training."""

    number: int
    name: str
    task: Task[Any]
    weight: float
    lr_multiplier: float
    on_truth: bool
    """whether it learns from true products in place of what earlier modules make"""
    earlier: tuple[Module, ...]
    needs: Mapping[str, str]
    """``{product: module}`` where its options say so"""

    def provider(self, read: str) -> str | None:
        """The module that makes a product for this one, by the name that this one reads it by; None: the stage is fed.

        ``<module>/<product>`` names it; else it is the one of its needs, or the last before it that makes the product.
        """
        alias, _, product = read.rpartition("/")
        if alias:
            return alias if any(other.name == alias for other in self.earlier) else None
        if product in self.needs:
            return self.needs[product]
        return next((other.name for other in reversed(self.earlier) if product in other.products), None)

    @cached_property
    def products(self) -> frozenset[str]:
        return frozenset(schema.name for schema in self.task.makes)

    @cached_property
    def providers(self) -> dict[str, str]:
        """``{product: module}`` of all that it reads from modules."""
        found = {read: self.provider(read) for read in self.task.reads if not read.startswith("truth/")}
        return {read: name for read, name in found.items() if name is not None}

    @cached_property
    def fed(self) -> tuple[str, ...]:
        """What it reads that no module makes."""
        return tuple(read for read in self.task.reads if read not in self.providers)


class Wiring:
    """All modules in order. Raises WeftError for modules that do not fit together."""

    def __init__(self, modules: Mapping[str, ModuleOptions]) -> None:
        from weft.tasks import build

        found: list[Module] = []
        for number, (name, options) in enumerate(modules.items()):
            given = {"model": options.model, "loss": options.loss, "data": options.data}
            task = build(options.task, given, f"modules.{name}")
            needs = {product: other for other, products in options.needs.items() for product in products}
            module = Module(
                number,
                name,
                task,
                options.weight,
                options.lr_multiplier,
                options.train_on == "truth",
                tuple(found),
                needs,
            )
            _check(module, list(modules))
            found.append(module)
        self.modules = tuple(found)
        if not self.learned:
            raise WeftError(f"modules: none of {', '.join(modules)} has anything to learn")
        self._by_name = {module.name: module for module in found}
        for module in self.learned:
            self._require_sources(module)

    @cached_property
    def learned(self) -> tuple[Module, ...]:
        return tuple(module for module in self.modules if module.task.learned)

    def sources(self, module: Module, training: bool) -> dict[str, str]:
        """``{product: module}`` of what it is fed by modules."""
        return {} if training and module.on_truth else module.providers

    def running(self, training: bool) -> tuple[Module, ...]:
        """The modules that run: in training those that learn, and what they are fed by."""
        return tuple(module for module in self.modules if not training or module.name in self._running)

    def read(self, training: bool) -> frozenset[str]:
        """Names of the modules whose products are wanted: in training those that a module is fed by."""
        if not training:
            return frozenset(module.name for module in self.modules)
        return frozenset(name for module in self.running(True) for name in self.sources(module, True).values())

    def ready(self, training: bool) -> frozenset[str]:
        """Names of the modules that wait for no network: their batches can be made where events are read."""
        names: set[str] = set()
        for module in self.running(training):
            behind = [self._by_name[name] for name in self.sources(module, training).values()]
            if all(other.name in names and not other.task.learned for other in behind):
                names.add(module.name)
        return frozenset(names)

    @cached_property
    def _running(self) -> frozenset[str]:
        names: set[str] = set()
        for module in reversed(self.modules):
            if module.task.learned or module.name in names:
                names |= {module.name, *self.sources(module, True).values()}
        return frozenset(names)

    def _require_sources(self, module: Module) -> None:
        """What a module is fed in training must be there in training."""
        for read, name in self.sources(module, True).items():
            behind = self._taught_behind(self._by_name[name])
            if behind is not None:
                raise WeftError(
                    f"modules.{module.name}: reads {read} of '{name}', but '{behind}' learns from the truth, so that "
                    f"what it says belongs to other products; give '{module.name}' train_on: truth too"
                )

    def _taught_behind(self, module: Module) -> str | None:
        """The first module that learns from the truth among a module and those it is fed by."""
        if module.on_truth:
            return module.name
        behind = (self._taught_behind(self._by_name[name]) for name in module.providers.values())
        return next((name for name in behind if name is not None), None)


def _check(module: Module, names: list[str]) -> None:
    earlier = {other.name: other for other in module.earlier}
    where = f"modules.{module.name}"
    for product, name in module.needs.items():
        if name not in earlier:
            raise WeftError(f"{where}.needs: no module '{name}' before it{closest(name, list(earlier))}")
        if product not in earlier[name].products:
            made = ", ".join(sorted(earlier[name].products))
            raise WeftError(f"{where}.needs: '{name}' makes no '{product}'; it makes: {made}")
        if product not in module.task.reads:
            raise WeftError(f"{where}.needs: it reads no '{product}'; it reads: {', '.join(module.task.reads)}")
    for read in module.task.reads:
        alias, _, product = read.rpartition("/")
        if alias in earlier and product not in earlier[alias].products:
            raise WeftError(f"{where}: '{alias}' makes no '{product}'")
        if alias in names and alias not in earlier:
            raise WeftError(f"{where}: reads {read}, but '{alias}' does not come before it")
    if module.on_truth:
        if not module.task.learned:
            raise WeftError(f"{where}.train_on: task '{module.task.name}' does not learn")
        if not module.providers:
            raise WeftError(f"{where}.train_on: it reads nothing of earlier modules, so it is fed what the stage is")
    if module.lr_multiplier != 1 and not module.task.learned:
        raise WeftError(f"{where}.lr_multiplier: task '{module.task.name}' does not learn")
    if module.weight != 1 and not module.task.learned:
        raise WeftError(f"{where}.weight: task '{module.task.name}' does not learn")
