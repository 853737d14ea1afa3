"""Curated datasets: what a split is made of, and what does not fit together."""

import json

import pytest

from weft.config import ConfigError, CuratedDataset, Layout, dataset_from, load_dataset, load_experiment
from weft.config.curation import curation_of, segmented_by, truths_of
from weft.config.loading import validate

SEGMENTATION = {"experiment": "volumes", "variant": "baseline"}
LAYOUT = Layout("out")


def curated(**split):
    return validate(CuratedDataset, {"name": "mine", "source": "curated", "splits": {"train": split}}, "mine")


def curation(dataset, split="train"):
    def experiment(name):
        loaded = load_experiment(name, "study")
        return loaded, load_dataset(loaded.dataset, "study")

    return curation_of(dataset, split, LAYOUT, experiment, lambda name: load_dataset(name, "study"))


@pytest.mark.parametrize("scale", ["tiny", "demo", "study", "reference"])
def test_the_dataset_that_is_delivered(scale):
    dataset = load_dataset("curated_stacks", scale)
    assert isinstance(dataset, CuratedDataset)
    assert (dataset.id, dataset.kind) == (f"curated_stacks-{scale}", "stacks")
    assert segmented_by(dataset) == ["volumes"]
    assert truths_of(dataset) == ["stacks"]
    assert [shard.id for shard in dataset.shards("train")] == ["train"]
    assert dataset_from(json.loads(json.dumps(dataset.model_dump(mode="json")))) == dataset
    assert segmented_by(load_dataset("stacks", scale)) == truths_of(load_dataset("stacks", scale)) == []


def test_files_of_a_split():
    both = {"segmentation": SEGMENTATION, "other": {"experiment": "volumes", "variant": "seed1"}}
    made = curation(curated(how="merge", split="unlabelled", decisions="mine.csv", **both))
    shards = ("0000", "0001")
    assert made.images == [f"out/data/stacks-study/unlabelled/{shard}.h5" for shard in shards]
    where = "out/volumes-study/unet/{}/predictions/truth/unlabelled/{}.h5"
    assert made.segmentations == [where.format("baseline", shard) for shard in shards]
    assert made.others == [where.format("seed1", shard) for shard in shards]
    assert made.stores == made.images + made.segmentations + made.others
    assert (made.decisions, made.accept) == ("mine.csv", {})
    truth = curation(curated(how="takeall", split="test", dataset="stacks"))
    assert (truth.segmentations, truth.others, truth.decisions) == ([], [], None)
    assert truth.options == {"min_probability": None}


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"how": "takeall"}, "either dataset, for its truth, or segmentation"),
        ({"how": "takeall", "dataset": "stacks", "segmentation": SEGMENTATION}, "either dataset"),
        ({"how": "select", "dataset": "stacks"}, "a truth is taken whole"),
        ({"how": "takeall", "dataset": "stacks", "min_probability": 0.5}, "a truth has no probabilities"),
        ({"how": "select", "segmentation": SEGMENTATION}, "select needs decisions or accept"),
        ({"how": "merge", "segmentation": SEGMENTATION, "decisions": "a.csv"}, "merge needs them"),
        ({"how": "merge", "segmentation": SEGMENTATION, "other": SEGMENTATION, "accept": {}}, "with the merging masks"),
        ({"how": "takeall", "segmentation": SEGMENTATION, "accept": {}}, "takeall takes every image"),
        ({"how": "select", "segmentation": SEGMENTATION, "accept": {"min_agreement": 0.5}}, "use merge"),
        ({"how": "select", "segmentation": SEGMENTATION, "accept": {"min_confidance": 0.5}}, "min_confidence"),
    ],
)
def test_contradictions(split, said):
    with pytest.raises(ConfigError, match=said):
        curated(split="test", **split)


def test_what_does_not_exist():
    with pytest.raises(ConfigError, match=r"'mine', split 'train': dataset 'stacks' has no split 'tset'"):
        curation(curated(how="takeall", split="tset", dataset="stacks"))
    absent = {"experiment": "volumes", "variant": "seed9"}
    with pytest.raises(ConfigError, match=r"'mine', split 'train': stage 'unet' has no variant 'seed9'"):
        curation(curated(how="takeall", split="test", segmentation=absent))
    several = {"experiment": "full_chain"}
    with pytest.raises(ConfigError, match="has several stages, name one"):
        curation(curated(how="takeall", split="test", segmentation=several))
    other = {"segmentation": SEGMENTATION, "other": {"experiment": "segmentation"}, "decisions": "a.csv"}
    with pytest.raises(ConfigError, match="'stacks-study' and 'lartpc-study' cannot be merged"):
        curation(curated(how="merge", split="test", **other))
    itself = curated(how="takeall", split="train", dataset="mine")
    with pytest.raises(ConfigError, match="is to be made of its own dataset"):
        curation_of(itself, "train", LAYOUT, lambda name: None, lambda name: itself)  # type: ignore[arg-type, return-value]
