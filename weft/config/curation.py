"""Which files a curated split is made of: stores of images, and predictions of experiments for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from weft.config.curated import Segmentation
from weft.config.dataset import CuratedDataset, Dataset, require_split
from weft.config.experiment import Experiment
from weft.config.layout import Layout
from weft.config.loading import ConfigError
from weft.config.plan import run_of

Load = Callable[[str], tuple[Experiment, Dataset]]
LoadDataset = Callable[[str], Dataset]


class Curation(NamedTuple):
    """The input of one curated split; the lists have an entry for each shard of the images."""

    how: str
    images: list[str]
    """event stores"""
    segmentations: list[str]
    """event stores of predictions; empty: the truth of the images"""
    others: list[str]
    """of a merge, else empty"""
    decisions: str | None
    accept: Mapping[str, Any]
    options: Mapping[str, Any]

    @property
    def stores(self) -> list[str]:
        return [*self.images, *self.segmentations, *self.others]


def segmented_by(dataset: Dataset) -> list[str]:
    """Names of the experiments whose predictions a dataset is made of."""
    if not isinstance(dataset, CuratedDataset):
        return []
    parts = [part for split in dataset.splits.values() for part in (split.segmentation, split.other)]
    return list(dict.fromkeys(part.experiment for part in parts if part is not None))


def truths_of(dataset: Dataset) -> list[str]:
    """Names of the datasets whose truth a dataset takes."""
    if not isinstance(dataset, CuratedDataset):
        return []
    return list(dict.fromkeys(split.dataset for split in dataset.splits.values() if split.dataset is not None))


def curation_of(dataset: CuratedDataset, split: str, layout: Layout, experiment: Load, truth: LoadDataset) -> Curation:
    """What one split is made of.

    experiment, truth: give an experiment with its dataset, or a dataset, by the name that the split says.

    Raises:
        ConfigError: no such experiment, stage, variant or split, two segmentations of different datasets, or a dataset
            that is to be made of itself.
    """
    chosen, where = dataset.splits[split], f"dataset '{dataset.name}', split '{split}'"

    def shards(images: Dataset) -> list[str]:
        if images.id == dataset.id:
            raise ConfigError(f"{where}: is to be made of its own dataset")
        try:
            require_split(images, chosen.split)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        return [shard.id for shard in images.shards(chosen.split)]

    def predictions(said: Segmentation, images: Dataset, of: Experiment) -> list[str]:
        stages = list(of.stages)
        if said.stage is None and len(stages) > 1:
            raise ConfigError(f"{where}: experiment '{of.name}' has several stages, name one: {', '.join(stages)}")
        try:
            run = run_of(of, images, layout, said.stage or stages[0], said.variant)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        return [run.prediction(chosen.split, shard) for shard in shards(images)]

    segmentations: list[str] = []
    others: list[str] = []
    if chosen.dataset is not None:
        images = truth(chosen.dataset)
    else:
        assert chosen.segmentation is not None
        of, images = experiment(chosen.segmentation.experiment)
        segmentations = predictions(chosen.segmentation, images, of)
        if chosen.other is not None:
            of, same = experiment(chosen.other.experiment)
            if same.id != images.id:
                raise ConfigError(f"{where}: segmentations of '{images.id}' and '{same.id}' cannot be merged")
            others = predictions(chosen.other, images, of)
    return Curation(
        chosen.how,
        [layout.data(images.id, chosen.split, shard) for shard in shards(images)],
        segmentations,
        others,
        chosen.decisions,
        {} if chosen.accept is None else chosen.accept.model_dump(mode="json"),
        {"min_probability": chosen.min_probability},
    )
