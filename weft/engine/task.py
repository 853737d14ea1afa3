"""The one interface between the engine and what is learned.

A task is a folder below :mod:`weft.tasks`; the engine gets a :class:`Task` object and knows nothing else. This module
does not import torch: tasks import it inside the methods that need it, so that scoring and drawing work without.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

from weft.config.loading import leaves
from weft.errors import WeftError
from weft.io.products import Schema
from weft.metrics.bootstrap import CLAIM_EVENTS
from weft.metrics.scores import Scores, pool
from weft.report.figure import Figure

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from weft.reco.feed import Events

Options = TypeVar("Options", bound=BaseModel)
Products = dict[str, Any]
"""Products of one event by name: arrays for tables, :class:`weft.io.products.Ragged` for lists."""


class Event(Protocol):
    """One event as a stage sees it (:mod:`weft.reco.feed`).

    A bare name is what the stage is fed: looked up where its ``needs`` say, or in truth mode the true product.
    ``truth/<product>`` is always the truth. True products that the store does not hold are derived. A filtered table
    reads as :class:`weft.io.products.Filtered`, with its row numbers in the parent.
    """

    def __getitem__(self, product: str) -> Any: ...
    def __contains__(self, product: object) -> bool: ...


class Store(Protocol):
    """What scoring reads: stores joined, or predictions still in memory joined to them.

    ``prediction/<product>`` is what is judged, ``truth/<product>`` the truth, and a bare name what the stage was fed.
    """

    @property
    def events(self) -> np.ndarray: ...
    def __len__(self) -> int: ...
    def __contains__(self, product: object) -> bool: ...
    def __getitem__(self, product: str) -> Any: ...
    def read(self, product: str, start: int, stop: int) -> Any: ...


@dataclass(frozen=True)
class Sample:
    """What a network sees of one event, or of a part of it, before batching."""

    arrays: Mapping[str, np.ndarray]
    event: tuple[int, int]
    """(file, index in the file)"""

    def with_arrays(self, **arrays: np.ndarray) -> Sample:
        """A copy with some arrays replaced."""
        return replace(self, arrays={**self.arrays, **arrays})


@dataclass
class Batch:
    """Samples side by side. Empty events keep their place: ``offsets[b] == offsets[b + 1]``.

    A task whose network sees more than voxels adds fields of tensors in a subclass.
    """

    coords: Tensor
    """[N, 1+D] int32: batch index, x, y, z"""
    features: Tensor
    """[N, F] float32"""
    offsets: Tensor
    """[B+1] int64, rows of sample b are ``offsets[b]:offsets[b+1]``"""
    events: list[tuple[int, int]]
    targets: dict[str, Tensor] = field(default_factory=dict)
    counts: Tensor | None = None
    """:meth:`Task.counts` of the whole step, where that has several micro-batches"""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """:meth:`Task.weights` of the whole step, likewise"""

    def to(self, device: torch.device, non_blocking: bool = False) -> Self:
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """A copy with every tensor changed, those in dictionaries and in batches inside this one too."""
        from torch import Tensor

        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: changed(item) for key, item in value.items()}
            if isinstance(value, Batch):
                return value._map(change)
            return change(value) if isinstance(value, Tensor) else value

        return type(self)(**{item.name: changed(getattr(self, item.name)) for item in fields(self)})

    def __len__(self) -> int:
        return len(self.events)


class Baseline(ABC):
    """The best non-learned or classical answer to a task's question. No torch."""

    @property
    def words(self) -> str:
        """What a fit has chosen among several ways, for a report; "" where there is one way."""
        return ""

    @abstractmethod
    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Learn from training events, read one by one."""

    @abstractmethod
    def predict(self, event: Event) -> Products:
        """The same products that the model makes."""

    @abstractmethod
    def save(self, path: Path) -> None: ...

    @classmethod
    @abstractmethod
    def load(cls, path: Path) -> Baseline: ...


class ForeignLayout(NamedTuple):
    """The checkpoints of another tool that trains the same network."""

    tool: str
    """name of its dialect in :mod:`weft.config.dialects`"""
    names: Mapping[str, str]
    """``{our name: theirs}`` of every tensor; theirs below a module of whatever name"""


LossTerms = Mapping[str, "tuple[Tensor, Tensor | float]"]


class Task(ABC, Generic[Options]):
    """A learnable step, built from the validated options of a stage.

    With a ``training.precision`` of 16 bits the engine sees to the loss alone: what else needs float32, such as the
    logits and softmax of attention, the network computes in ``torch.autocast(device, enabled=False)`` itself.
    """

    name: ClassVar[str]
    learned: ClassVar[bool] = True
    """whether there is a network to train; see :class:`FixedTask`"""
    options_model: ClassVar[type[BaseModel]]
    """pydantic model with the fields ``model``, ``loss``, ``data`` and ``baseline``, or those that the task has;
    without ``baseline`` there is none"""
    reads: ClassVar[tuple[str, ...]]
    """products that a prediction needs, by the names that :class:`Event` knows"""
    fits: ClassVar[bool] = True
    """whether the baseline learns from training events; one that does not waits for none"""
    fitted_with: ClassVar[tuple[str, ...]] = ("data",)
    """options that the baseline depends on besides its own, as dotted keys of the stage: ``model.classes``"""
    variations: ClassVar[frozenset[str]] = frozenset({"flip", "rotate", "shift", "charge_jitter"})
    """options of ``data`` that say how :meth:`draw` and :meth:`mix` vary events, and others that a prediction does not
    depend on, ``labels.truth`` one of options inside: a deploy may have others"""
    headline: ClassVar[tuple[str, ...]]
    """names of the metrics to print first, best one first"""
    thing: ClassVar[str] = "event"
    """what an event is, in a word that takes an s: "image"; for the sentences of a report"""
    claim_events: ClassVar[int] = CLAIM_EVENTS
    """held-out events that a claim of the report takes: fewer where one event holds many things that are judged"""
    tree: ClassVar[str | None] = None
    """the tree of a ROOT file that the tables of a prediction share (:mod:`weft.io.flat_root`); None: a tree each"""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Further products that training needs, always from the truth (``truth/<product>``)."""

    @property
    @abstractmethod
    def makes(self) -> tuple[Schema, ...]:
        """Products of a prediction."""

    # --- data -------------------------------------------------------------------------------------------

    @abstractmethod
    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        """The whole event as the network reads it; with its labels when asked for."""

    def draw(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A random view of a sample for training: augmentation, a patch. Depends on ``rng`` only."""
        return sample

    def mix(self, samples: list[Sample], rng: np.random.Generator) -> list[Sample]:
        """The drawn samples of a training micro-batch (of this rank) put together in another way, such as several
        events laid over each other; at least one. Depends on ``rng`` only."""
        return samples

    def pick(self, seed: int, number: int, events: int) -> tuple[int, np.random.Generator] | None:
        """The event of sample ``number`` of a training on so many events, and the generator that it is drawn with.

        None: passes over all events in random order, and a generator of its own for each. What is picked depends on
        the three numbers only.
        """
        return None

    @abstractmethod
    def collate(self, samples: Sequence[Sample]) -> Batch: ...

    # --- learning ---------------------------------------------------------------------------------------

    @abstractmethod
    def network(self) -> nn.Module:
        """A fresh network; called under a seeded generator. Its ``forward`` takes a :class:`Batch`."""

    def measure(self, events: Events) -> dict[str, Any]:
        """What the training events say that a prediction may depend on beside the weights, such as how frequent an
        answer is: plain data, kept in the model file as `measured`. Asked once, before a training. Default: nothing."""
        return {}

    def prepare(self, network: nn.Module, measured: Mapping[str, Any]) -> None:
        """Tell a network that is about to predict what :meth:`measure` said when it was trained; empty for the models
        of other tools and of earlier versions."""
        return

    def layers(self, network: nn.Module) -> Sequence[Sequence[nn.Module]]:
        """The network from its input to its head, layer by layer, for a learning rate that decays by layer.

        Each layer is one or more modules without parameters in common with another layer; the last is the head. What
        is left out learns slower than the first layer. A task that does not say it cannot have ``layer_decay``.
        """
        raise WeftError(f"optimizer.layer_decay: task '{self.name}' does not say which layers its network has")

    def foreign_layout(self) -> ForeignLayout | None:
        """Where another tool keeps the tensors of this network, if it has the same; see `weft import-weights`."""
        return None

    def method(self) -> dict[str, Any]:
        """Options by which its products are other things under the same name, ``{"model.eps": 1.2}``: what has learned
        from them is not to be fed others (:mod:`weft.engine.fed`). None of a network, which may be a better one."""
        return {}

    def parts(self) -> Mapping[str, Task[Any]]:
        """``{module of the network: task}`` where a module is the network of a task of its own, trained together with
        others; a training leaves the weights of each as a model of that task too, in ``modules/<name>/model.ckpt``."""
        return {}

    def lr_multipliers(self, network: nn.Module) -> Sequence[tuple[nn.Module, float]]:
        """Modules that learn at another rate than ``optimizer.lr``, and by what factor; none in another one."""
        return []

    def not_accumulated(self) -> str | None:
        """Why several micro-batches cannot be one step exactly; None where they can (:meth:`weights`)."""
        if getattr(self.weights, "__func__", None) is not Task.weights:
            return None
        return f"task '{self.name}' cannot say the weights of its loss before the forward pass (Task.weights); use 1"

    def counts(self, batch: Batch) -> Tensor | None:
        """Numbers that the weights of the loss depend on, such as voxels by class; summed over the step and ranks."""
        return None

    def weights(self, batch: Batch, counts: Tensor | None) -> Mapping[str, Tensor | float]:
        """The weight of each term of :meth:`loss`, before the output is known: from targets and counts alone.

        counts: :meth:`counts` summed over all micro-batches and ranks of a step. Gradient accumulation needs it.
        """
        raise NotImplementedError

    @abstractmethod
    def loss(self, output: Any, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        """Terms as (sum, weight): the engine minimises the sum over terms of sum/weight, weights over all ranks.

        output: what the network gives, in float32 and without autocast whatever ``training.precision`` is.
        counts: :meth:`counts` summed over the step and ranks; default: those of this batch.
        """

    def answers(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Scores [n, C] and true class [n], −1 for none, of a training batch, where the task sorts into classes.

        For the accuracy, F1 and IoU of steps in the log. Default: None.
        """
        return None

    @abstractmethod
    def decode(self, output: Any, batch: Batch) -> list[Products]:
        """Products of each event of the batch."""

    def predict(self, model: nn.Module, batch: Batch) -> list[Products]:
        """Products of whole events; deploy, validation and the chain all come through here."""
        return self.decode(model(batch), batch)

    def mean(self, outputs: Sequence[Any]) -> Any:
        """One output of the network from its outputs for several views of the same events (:meth:`draw`)."""
        raise WeftError(f"task '{self.name}' has no mean over views of an event: evaluation.views must be 1")

    def validate(
        self, model: nn.Module, batch: Batch, counts: Tensor | None = None
    ) -> tuple[LossTerms, list[Products]]:
        """Loss and prediction of a batch of whole events with labels, in one forward pass.

        A task with its own way takes the loss from :func:`weft.engine.precision.loss_terms` too.
        counts: :meth:`counts` summed over all of the validation.
        """
        from weft.engine.precision import loss_terms

        output = model(batch)
        return loss_terms(self, output, batch, counts), self.decode(output, batch)

    # --- judging (no torch) -------------------------------------------------------------------------------

    @abstractmethod
    def score(self, store: Store, split: str, shard: str) -> Scores:
        """Counts of the events of a store; see :class:`Store` for names."""

    @abstractmethod
    def metrics(self, counts: pd.DataFrame) -> pd.DataFrame:
        """Metrics of each row of counts: those of one event, or of many added up (:func:`weft.metrics.scores.pool`).

        One row for each row of ``counts``, one column a metric; NaN where a metric is not defined.
        """

    def summary(self, events: pd.DataFrame) -> dict[str, float]:
        """Pooled metrics of a table of event scores."""
        metrics = self.metrics(pool(events)).iloc[0]
        return {str(name): float(value) for name, value in metrics.items()}

    @abstractmethod
    def figures(self, scores: Mapping[str, Scores], split: str) -> list[Figure]:
        """Figures and tables of the report, from the scores of each variant; ``split``: the one to judge by."""

    def event_payload(self, store: Store, index: int, subtitle: str, label: str) -> Mapping[str, Any] | None:
        """One event as a report displays it (:func:`weft.report.display.event_payload`); None: its voxels.

        store: as for :meth:`score`. subtitle, label: why this event, in words, and in one or two.
        """
        return None

    def event_figures(self, store: Store, index: int, note: str) -> list[Figure]:
        """Drawings of one event, the one in the middle of those judged; note: why this one. Default: none."""
        return []

    @abstractmethod
    def baseline(self) -> Baseline:
        """An unfitted baseline."""

    @abstractmethod
    def load_baseline(self, path: Path) -> Baseline: ...


class FixedTask(Task[Options]):
    """A step without anything to learn, such as a clustering by distance: the same files, rules and scores.

    It says what it predicts event by event; its `train` writes its options at once. Of :class:`Task` it needs `name`,
    `options_model`, `reads`, `headline`, `makes`, `score`, `metrics`, `figures`, and, if it is compared with something,
    `baseline` and `load_baseline`.
    """

    learned = False
    of_data: ClassVar[frozenset[str]] = frozenset()
    """options of ``model`` that say what the events are, such as the detector, and not what is done with them; other
    events have others"""

    def method(self) -> dict[str, Any]:
        model = self.options.model_dump(mode="json").get("model", {})
        return dict(leaves({key: value for key, value in model.items() if key not in self.of_data}, "model."))

    @abstractmethod
    def predict_event(self, event: Event) -> Products:
        """Products of one event."""

    @property
    def labels(self) -> tuple[str, ...]:
        return ()

    def sample(self, event: Event, index: tuple[int, int], labels: bool) -> Sample:
        raise self._fixed()

    def collate(self, samples: Sequence[Sample]) -> Batch:
        raise self._fixed()

    def network(self) -> nn.Module:
        raise self._fixed()

    def loss(self, output: Any, batch: Batch, counts: Tensor | None = None) -> LossTerms:
        raise self._fixed()

    def decode(self, output: Any, batch: Batch) -> list[Products]:
        raise self._fixed()

    def baseline(self) -> Baseline:
        raise WeftError(f"task '{self.name}' has no baseline")

    def load_baseline(self, path: Path) -> Baseline:
        raise WeftError(f"task '{self.name}' has no baseline")

    def _fixed(self) -> WeftError:
        return WeftError(f"task '{self.name}' does not learn: it has no network, samples or loss")
