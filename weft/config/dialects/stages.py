"""Which stages the file of another tool describes, and where in the experiment the keys of each of them go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from weft.config.dialects.rules import Noted, Unfit
from weft.config.loading import ConfigError, closest

Form = Literal["auto", "staged", "joint"]
"""whether stages are trained one by one, or together; auto: as the tool is mostly used"""
Defaults = Mapping[str, tuple[Any, str]]
"""our keys that are written where no key of theirs does: value, and why"""

#: Blocks that say how a stage is trained: a file has them once, for all stages that learn.
SHARED = ("optimizer", "schedule", "training", "resources", "evaluation")
#: Keys that vary events at random: likewise, for those stages that have them.
VIEWS = ("data.flip", "data.rotate", "data.shift", "data.charge_jitter")


@dataclass(frozen=True)
class Part:
    """A stage of a file."""

    task: str
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """products that it reads, by the stage that makes them, or truth"""
    defaults: Defaults = field(default_factory=dict)
    learned: bool = True


@dataclass(frozen=True)
class Plan:
    """The stages of a file, by the names that they get here.

    A key without a part goes to the first stage, one of :data:`SHARED` or :data:`VIEWS` to all that have it.
    """

    parts: Mapping[str, Part]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """part that a table names, such as a module of theirs: the stage it is"""
    idle: Callable[[str], str] = lambda key: ""
    """why a key does not matter, since it belongs to a block that the model of the file does not use; else nothing"""
    joint: str | None = None
    """the stage that trains all of them together as its modules; None where each is a stage by itself"""

    def of_form(self, form: Form) -> Plan:
        """The same stages, trained one by one or together. Raises Unfit where there is only one to train."""
        if form == "auto" or (form == "staged") == (self.joint is None):
            return self
        if form == "joint" and len(self.parts) == 1:
            raise Unfit("the file has one stage; nothing to train together: nearest that works: --form staged")
        return replace(self, joint="full_chain" if form == "joint" else None)

    def places(self, ours: str) -> list[str]:
        """The dotted keys of the experiment that ``[part:]key`` stands for; none where the file has no such part."""
        part, _, key = ours.rpartition(":")
        if part == "experiment":
            return [key]
        if part:
            name = self.aliases.get(part, part)
            there = name in self.parts and (self.joint or key != "weight")  # no weight of a loss by itself
            return [self._place(name, key)] if there else []
        shared = key.split(".")[0] in SHARED
        if self.joint and (shared or key in VIEWS):
            return [f"stages.{self.joint}.{key}"]
        if shared:
            return [self._place(name, key) for name, made in self.parts.items() if made.learned]
        having = [name for name, made in self.parts.items() if key in VIEWS and key in made.defaults]
        return [self._place(name, key) for name in having or list(self.parts)[:1]]

    def _place(self, name: str, key: str) -> str:
        if self.joint is None:
            return f"stages.{name}.{key}"
        if key == "init":
            return f"stages.{self.joint}.init.{name}"
        if key == "freeze":
            return f"stages.{self.joint}.freeze"
        return f"stages.{self.joint}.model.modules.{name}.{key}"

    def value(self, ours: str, value: Any) -> Any:
        """A value as it stands there: in a joint training a whole file starts a module, and names are its modules'."""
        part, _, key = ours.rpartition(":")
        name = self.aliases.get(part, part) or next(iter(self.parts), "")
        if self.joint and key == "init":
            parts = value if isinstance(value, Mapping) else {"": value}
            assert len(set(parts.values())) == 1  # tables give all parts of a network the same file
            return {"from": next(iter(parts.values())), "part": "all"}
        if self.joint and key == "freeze":
            return [f"{name}.{module}" if module else name for module in value]
        if key == "freeze" and "" in value:
            raise Unfit("a stage whose whole network is frozen has nothing to train; nearest that works: false")
        return value

    def tasks(self) -> Mapping[str, str]:
        """The task of each stage, in their order."""
        joint = {f"experiment:stages.{self.joint}.task": "joint"} if self.joint else {}
        return joint | {f"{name}:task": part.task for name, part in self.parts.items()}

    def written(self) -> Mapping[str, Noted]:
        """What is written where no key of theirs writes it: what stages read, and defaults."""
        made: dict[str, Noted] = {}
        if self.joint:
            made |= {key: Noted(value, why) for key, (value, why) in self._views().items()}
        for name, part in self.parts.items():
            for other, products in part.needs.items():
                if self.joint is None or other != "truth":
                    made[f"{name}:needs.{other}"] = Noted(list(products), "")
            for ours, (value, why) in part.defaults.items():
                shared = ours.split(".")[0] in SHARED
                if self.joint is None or not (shared or ours in VIEWS):
                    made[ours if ":" in ours else f"{name}:{ours}"] = Noted(value, why)
                elif shared:
                    made.setdefault(ours, Noted(value, why))
        return made

    def _views(self) -> Defaults:
        found: dict[str, tuple[Any, str]] = {}
        for part in self.parts.values():
            found |= {key: part.defaults[key] for key in VIEWS if key in part.defaults}
        return found


def alone(name: str, task: str, defaults: Defaults) -> Plan:
    """A file of a single stage."""
    return Plan({name: Part(task, defaults=defaults)})


def form_of(given: str) -> Form:
    """A form by its name. Raises ConfigError."""
    if given not in get_args(Form):
        forms = list(get_args(Form))
        raise ConfigError(f"no form '{given}'{closest(given, forms)}; there are: {', '.join(forms)}")
    form: Form = given  # type: ignore[assignment]
    return form
