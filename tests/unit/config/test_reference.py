"""Every option describes itself, and the tables say what the models accept."""

import re
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from weft import tasks
from weft.config import CuratedDataset, Experiment, FileDataset, SimulatedDataset
from weft.config.loading import parse_yaml
from weft.config.reference import Option, default_of, kind, kinds_of, meaning, models, options, plain, summary, table
from weft.config.strict import Strict
from weft.simulation.settings import SimulationSettings
from weft.simulation.stacks.settings import StackSettings

DOCS = Path(__file__).parents[3] / "docs"
ROOTS = [Experiment, SimulatedDataset, FileDataset, CuratedDataset, SimulationSettings, StackSettings]
ROOTS += [tasks.load(name).options_model for name in tasks.names()]
MODELS = list(dict.fromkeys(model for root in ROOTS for model in models(root)))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_option_has_a_description_and_every_section_too(model: type[BaseModel]) -> None:
    assert summary(model)
    for name, field in model.model_fields.items():
        if kind(field) != default_of(field):  # what tells apart kinds of a section says nothing more than its name
            assert meaning(field), name


def test_all_models_are_walked() -> None:
    names = {model.__name__ for model in MODELS}
    assert {"Experiment", "Stage", "Training", "Need", "PolySchedule", "FileSplit", "Block", "ModelOptions"} <= names


def test_every_model_is_in_the_documentation() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    written: set[type[BaseModel]] = set()
    for path, flags in re.findall(r"```\{options\} (\S+)\n((?::.*\n)*)", pages):
        module, _, name = path.rpartition(".")
        for model in kinds_of(getattr(import_module(module), name)):
            written |= {model} if ":shallow:" in flags else opened(model)
    assert [f"{model.__module__}.{model.__name__}" for model in MODELS if model not in written] == []


def opened(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The models whose keys are rows of a model's table."""
    inside = [kinds_of(field.annotation) for field in model.model_fields.values()]
    return {model}.union(*(opened(kinds[0]) for kinds in inside if len(kinds) == 1))


class Inner(Strict):
    """What is inside.

    More of it.
    """

    share: float = Field(0.5, ge=0, lt=1, description="a share")


class Round(Strict):
    """A ball."""

    name: Literal["round"] = "round"


class Square(Strict):
    """A box."""

    name: Literal["square"] = "square"
    edge: float = Field(gt=0, description="cm")


class Outer(Strict):
    """All kinds of fields."""

    count: int = Field(ge=1, le=9, description="how many")
    limit: float | None = Field(None, gt=0, description="MeV")
    above: float = Field(1e-5, lt=1e-3, description="small")
    mode: Literal["min", "max"] = Field("min", description="which")
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field((), description="list")
    some: tuple[str, ...] = Field(("a",), min_length=1, description="list")
    pair: tuple[float, float] = Field((1.0, 2.0), description="low, high")
    inner: Inner = Inner(share=0.25)
    other: Inner | None = Field(None, description="perhaps")
    named: dict[str, Inner] = Field({}, description="several")
    shape: Round | Square = Field(Round(), discriminator="name", description="the form")
    hidden: int = Field(0, description="set by the loader")


def test_rows_of_a_model() -> None:
    assert options(Outer, "o.") == [
        Option("o.count", "integer in [1, 9]", "required", "how many"),
        Option("o.limit", "number > 0 or null", "null", "MeV"),
        Option("o.above", "number < 0.001", "1.0e-05", "small"),
        Option("o.mode", "min | max", "min", "which"),
        Option("o.sizes", "list of integers >= 1", "[]", "list"),
        Option("o.some", "non-empty list of strings", "[a]", "list"),
        Option("o.pair", "[number, number]", "[1.0, 2.0]", "low, high"),
        Option("o.inner.share", "number in [0, 1)", "0.25", "a share"),  # the default of this very section
        Option("o.other", "section or null", "null", "perhaps"),
        Option("o.other.share", "number in [0, 1)", "0.5", "a share"),
        Option("o.named", "mapping of sections", "{}", "several"),
        Option("o.named.<name>.share", "number in [0, 1)", "0.5", "a share"),
        Option("o.shape", "section", "", "the form"),
    ]
    assert [option.key for option in options(Outer, deep=False)] == [n for n in Outer.model_fields if n != "hidden"]
    assert next(o for o in options(Outer, deep=False) if o.key == "inner").meaning == "What is inside."
    assert kinds_of(Outer.model_fields["shape"].annotation) == [Round, Square]


def test_a_table_escapes_what_markdown_would_split() -> None:
    rows = table(Outer).splitlines()
    assert rows[0] == "| key | type and bounds | default | meaning |"
    assert "| `mode` | min \\| max | `min` | which |" in rows
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


@pytest.mark.parametrize(
    "value", [None, True, 3, 1e-5, 0.1, "auto", "1", "null", [1, "a b"], {"a": [1.5, None]}, (), {}]
)
def test_plain_text_of_a_value_is_read_back_as_it_was(value: object) -> None:
    text = plain(value)
    assert "\n" not in text
    assert parse_yaml(text) == (list(value) if isinstance(value, tuple) else value)
