"""The classical segmentation of stacks: normalise, filter, threshold.

For each class the filter, its size and the kind of threshold are those with the best Dice on training stacks: Otsu's or
Li's threshold of each stack, or one for all. Classes compete by how far a voxel is above the threshold of each. The
stack is held in memory, as classical tools do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.errors import WeftError
from weft.io.volume_products import UNCERTAINTIES, spacing_of
from weft.tasks.volume_segmentation.baseline_options import BaselineOptions, Threshold
from weft.tasks.volume_segmentation.choice import Chosen, Seen, choose, seen
from weft.tasks.volume_segmentation.responses import Response, answers, responses
from weft.volumes.normalise import channel
from weft.volumes.objects import ObjectOptions, decided, find_objects
from weft.volumes.recipes import DEFAULT_RECIPE, Step, Steps
from weft.volumes.thresholds import histogram, li, otsu

_KIND, _VERSION = "volume_segmentation", 1
#: Of (response - threshold) / width: beyond this a probability is 0 or 1 in float32.
_STEEPEST = 80.0


class VolumeBaseline(Baseline):
    """A filter and a threshold for each class but the background.

    classes: names of the classes, background first. recipe: of the normalisation. channel: the one of the image that is
    read. objects: how objects are found in what is segmented; None: they are not. uncertain: whether it says how sure
    it is: it has one answer only, so that nothing varies between answers.
    """

    def __init__(
        self,
        options: BaselineOptions,
        classes: Sequence[str],
        recipe: Sequence[Step] = DEFAULT_RECIPE,
        channel: int = 0,
        objects: ObjectOptions | None = None,
        uncertain: bool = False,
    ) -> None:
        self.options, self.classes, self.recipe = options, tuple(classes), tuple(recipe)
        self.channel, self.objects, self.uncertain = channel, objects, uncertain
        self.chosen: list[Chosen] = []
        self.fitted_on: dict[str, int] = {}

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """Choose on the first stacks that have something of a class; nothing is random.

        Raises WeftError where there is none, naming the class that was not found.
        """
        wanted = responses(self.options)
        inside = range(1, len(self.classes))
        tried: list[dict[Response, list[Seen]]] = [{response: [] for response in wanted} for _ in inside]
        stacks = 0
        for event in events:
            if stacks == self.options.most_stacks:
                break
            truth = _judged_labels(event)
            if not (truth > 0).any():
                continue
            stacks += 1
            judged = truth >= 0
            for response, answer in self._answers(wanted, event):
                own = _own_thresholds(answer, self.options.thresholds)
                for c in inside:
                    tried[c - 1][response].append(seen(answer, truth == c, judged, own))
        for c in inside:
            if not any(stack.inside.any() for stack in tried[c - 1][wanted[0]]):
                raise WeftError(
                    f"the baseline finds no voxel of class '{self.classes[c]}' in {stacks} training stacks: "
                    "give it more (baseline.most_stacks) or other ones"
                )
        self.chosen = [choose(of_class, self.options.thresholds) for of_class in tried]
        self.fitted_on = {"stacks": stacks, "seed": seed}

    def predict(self, event: Event) -> Products:
        """`labels` int16 [Z, Y, X] and `probabilities` float32 [K, Z, Y, X]; with objects also `instances` int32
        [Z, Y, X] and the table `objects`, the labels being those after holes and small objects; and `uncertainty`
        float32 [4, Z, Y, X] where it is asked for."""
        if not self.chosen:
            raise WeftError("the baseline has not been fitted: call fit or load first")
        logits = np.zeros((len(self.classes), *event["image"].shape[1:]), np.float32)
        wanted = list(dict.fromkeys(chosen.response for chosen in self.chosen))
        for response, answer in self._answers(wanted, event):
            for c, chosen in enumerate(self.chosen, 1):
                if chosen.response == response:
                    logits[c] = np.clip((answer - _threshold(chosen, answer)) / chosen.width, -_STEEPEST, _STEEPEST)
        np.exp(logits - logits.max(axis=0), out=logits)
        logits /= logits.sum(axis=0)
        made: Products = {"labels": decided(logits)[:], "probabilities": logits}
        if self.uncertain:
            made["uncertainty"] = _uncertainty(logits)
        if self.objects is None:
            return made
        spacing = spacing_of(event["spacing"])
        image = channel(event["image"], self.channel)
        found = find_objects(made["labels"], self.objects, spacing, image, logits)
        return made | {"labels": found.labels, "instances": found.instances, "objects": found.objects}

    def _answers(self, wanted: Sequence[Response], event: Event) -> Iterable[tuple[Response, NDArray[np.float32]]]:
        return answers(wanted, channel(event["image"], self.channel), self.recipe, spacing_of(event["spacing"]))

    @property
    def words(self) -> str:
        """What was chosen, for a report."""
        return "; ".join(
            f"{name}: {chosen.response.words}, threshold {chosen.threshold}"
            for name, chosen in zip(self.classes[1:], self.chosen, strict=True)
        )

    def save(self, path: Path) -> None:
        if not self.chosen:
            raise WeftError(f"{path}: there is nothing to save before the baseline has been fitted")
        content: dict[str, Any] = {
            "version": _VERSION,
            "options": self.options.model_dump(mode="json"),
            "classes": list(self.classes),
            "recipe": [step.model_dump(mode="json") for step in self.recipe],
            "channel": self.channel,
            "objects": None if self.objects is None else self.objects.model_dump(mode="json"),
            "uncertain": self.uncertain,
            "chosen": [{**chosen._asdict(), "response": chosen.response._asdict()} for chosen in self.chosen],
            "words": self.words,
            "fitted_on": self.fitted_on,
        }
        write_fitted(path, _KIND, content)

    @classmethod
    def load(cls, path: Path) -> VolumeBaseline:
        """The baseline that `save` wrote; WeftError for another file or version."""
        content = read_fitted(path, _KIND, version=_VERSION)
        recipe: tuple[Step, ...] = TypeAdapter(Steps).validate_python(content["recipe"])
        objects = None if content["objects"] is None else ObjectOptions(**content["objects"])
        options = BaselineOptions(**content["options"])
        made = cls(options, content["classes"], recipe, content["channel"], objects, content["uncertain"])
        made.chosen = [Chosen(**{**row, "response": Response(**row["response"])}) for row in content["chosen"]]
        made.fitted_on = content["fitted_on"]
        return made


def _uncertainty(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The maps of `uncertainty` of a single answer: entropy and what is missing to 1, and no variance."""
    made = np.zeros((len(UNCERTAINTIES), *probabilities.shape[1:]), np.float32)
    certain = np.maximum(probabilities, np.finfo(np.float32).tiny)
    made[UNCERTAINTIES.index("entropy")] = -(probabilities * np.log(certain)).sum(axis=0)
    made[UNCERTAINTIES.index("one_minus_max")] = 1 - probabilities.max(axis=0)
    return made


def _judged_labels(event: Event) -> np.ndarray:
    """int16 [Z, Y, X], -1 where a voxel has no valid label or no cost."""
    labels = np.asarray(event["truth/labels"])
    if "truth/cost" not in event:
        return labels
    return np.where(np.asarray(event["truth/cost"]) > 0, labels, np.int16(-1))


def _threshold(chosen: Chosen, answer: NDArray[np.float32]) -> float:
    if chosen.fitted is not None:
        return chosen.fitted
    return _own_thresholds(answer, [chosen.threshold])[chosen.threshold]


def _own_thresholds(answer: NDArray[np.float32], kinds: Sequence[Threshold]) -> dict[Threshold, float]:
    """Thresholds that a stack says by itself; of a constant one its value, above which there is nothing."""
    bins = histogram(answer)
    functions = {"otsu": otsu, "li": li}
    return {kind: functions[kind](*bins) for kind in kinds if kind != "fitted"}
