"""The joint task: modules of the chain with one loss, each module's own answers, scores and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from weft.engine.chain import names_of, renamed
from weft.engine.task import Baseline, Batch, Event, LossTerms, Products, Sample, Store, Task
from weft.errors import WeftError
from weft.io.products import Schema
from weft.metrics.scores import Scores
from weft.reco.feed import SOURCES
from weft.reco.truth import DERIVED
from weft.report.figure import Figure
from weft.tasks.joint.options import Options
from weft.tasks.joint.record import Record
from weft.tasks.joint.score import ModuleStore, own_counts, own_scores, prefixed, together
from weft.tasks.joint.turning import Turn
from weft.tasks.joint.wiring import Wiring

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.tasks.joint.network import Answers


class Joint(Task[Options]):
    """Reads what its first modules read; writes the products of all of them."""

    name = "joint"
    options_model = Options

    @cached_property
    def wiring(self) -> Wiring:
        return Wiring(self.options.model.modules)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        fed = (read for module in self.wiring.modules for read in module.fed)
        return tuple(dict.fromkeys(("voxels", "charge", "meta", *fed)))

    @property
    def headline(self) -> tuple[str, ...]:  # type: ignore[override]
        """The first metric of every module that learns, then those of the others; the last module first."""
        ranked = sorted(self.wiring.modules, key=lambda module: (not module.task.learned, -module.number))
        return tuple(f"{module.name}.{module.task.headline[0]}" for module in ranked)

    @property
    def labels(self) -> tuple[str, ...]:
        names = [label for module in self.wiring.learned for label in module.task.labels]
        for module in self.wiring.learned:
            if module.on_truth:
                names += [read.rpartition("/")[2] for read in module.providers]
        kept = [label for name in names for label in (SOURCES if name in DERIVED else (name,))]
        return tuple(dict.fromkeys(kept))

    @property
    def makes(self) -> tuple[Schema, ...]:
        return tuple(schema for module in self.wiring.modules for schema in renamed(module, self._names))

    @cached_property
    def _names(self) -> dict[tuple[str, str], str]:
        return names_of(self.wiring.modules)

    # --- data ---------------------------------------------------------------------------------------------

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Record:
        return Record.read(event, index, self.reads, self.labels if labels else None)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Record:
        """The event turned as a whole; what modules vary besides is drawn where their samples are made."""
        assert isinstance(sample, Record)
        turn = Turn.draw(sample.fed["meta"], self.options.data, rng)
        return sample.turned(turn, int(rng.integers(2**63)))

    def collate(self, samples: Sequence[Sample]) -> Batch:
        from weft.tasks.joint.batch import collate

        return collate(samples, self.wiring)

    # --- learning -----------------------------------------------------------------------------------------

    def network(self) -> nn.Module:
        from weft.tasks.joint.network import JointNetwork

        return JointNetwork(self.wiring)

    def parts(self) -> dict[str, Task[Any]]:
        return {module.name: module.task for module in self.wiring.modules}

    def lr_multipliers(self, network: nn.Module) -> list[tuple[nn.Module, float]]:
        return [(network.get_submodule(module.name), module.lr_multiplier) for module in self.wiring.learned]

    def not_accumulated(self) -> str | None:
        ready = self.wiring.ready(training=True)
        for module in self.wiring.learned:
            if module.name not in ready:
                behind = ", ".join(dict.fromkeys(self.wiring.sources(module, True).values()))
                return (
                    f"module '{module.name}' learns from what {behind} say at the moment, so that the weights of its "
                    "loss are not known before the forward pass; use 1, or train_on: truth for that module"
                )
            reason = module.task.not_accumulated()
            if reason is not None:
                return f"module '{module.name}': {reason}"
        return None

    def counts(self, batch: Batch) -> Tensor | None:
        """Those of the modules whose batches are made where events are read, end to end."""
        from weft.tasks.joint.batch import JointBatch, counts_of

        assert isinstance(batch, JointBatch)
        return counts_of(batch.parts, self.wiring)

    def weights(self, batch: Batch, counts: Tensor | None) -> dict[str, Tensor | float]:
        from weft.tasks.joint.batch import JointBatch, split_counts

        assert isinstance(batch, JointBatch)
        of_step = {} if counts is None else split_counts(counts, batch.parts, self.wiring)
        return {
            f"{module.name}.{term}": weight
            for module in self.wiring.learned
            for term, weight in module.task.weights(batch.parts[module.name], of_step.get(module.name)).items()
        }

    def loss(self, output: Answers, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        from weft.tasks.joint.batch import JointBatch, split_counts

        assert isinstance(batch, JointBatch)
        outputs, beside = output
        of_step = dict(beside.counts)
        if counts is not None:
            of_step |= split_counts(counts, batch.parts, self.wiring)
        terms: dict[str, tuple[Tensor, Tensor | float]] = {}
        for module in self.wiring.learned:
            name = module.name
            own = module.task.loss(outputs[name], beside.parts[name], of_step.get(name))
            terms |= {f"{name}.{term}": (total * module.weight, weight) for term, (total, weight) in own.items()}
        return terms

    def decode(self, output: Answers, batch: Batch) -> list[Products]:
        return [
            {self._names[module, product]: value for module, made in event.items() for product, value in made.items()}
            for event in output.beside.made
        ]

    # --- judging ------------------------------------------------------------------------------------------

    def score(self, store: Store, split: str, shard: str) -> Scores:
        return together(
            {
                module.name: module.task.score(ModuleStore(store, module, self._names), split, shard)
                for module in self.wiring.modules
            }
        )

    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        made = []
        for module in self.wiring.modules:
            made.append(prefixed(module.task.metrics(own_counts(counts, module.name)), module.name))
        return pd.concat(made, axis=1)

    def summary(self, events: pd.DataFrame) -> dict[str, float]:
        """What each module calls its headline; the others are hundreds, and in the score tables."""
        named = {f"{module.name}.{metric}" for module in self.wiring.modules for metric in module.task.headline}
        return {name: value for name, value in super().summary(events).items() if name in named}

    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        made = []
        for module in self.wiring.modules:
            own = {variant: own_scores(tables, module.name) for variant, tables in scores.items()}
            made += [
                replace(figure, key=f"{module.name}-{figure.key}", title=f"{module.name}: {figure.title}")
                for figure in module.task.figures(own, split)
            ]
        return made

    def baseline(self) -> Baseline:
        raise self._without_baseline()

    def load_baseline(self, path: Path) -> Baseline:
        raise self._without_baseline()

    def _without_baseline(self) -> WeftError:
        return WeftError("task 'joint' has no baseline: those of its modules' tasks are stages of their own")
