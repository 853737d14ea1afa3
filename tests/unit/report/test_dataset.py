from pathlib import Path

import pandas as pd
import pytest

from weft.config import Experiment, Layout, dataset_from, plan
from weft.report.dataset import dataset_table, flat


def runs(dataset, layout=None, splits=("test", "test_noise"), **training):
    experiment = Experiment.model_validate(
        {
            "name": "voxels",
            "dataset": "box",
            "stages": {
                "net": {
                    "task": "segmentation",
                    "training": {"iterations": 5, "batch_size": 1} | training,
                    "evaluation": {"splits": list(splits)},
                }
            },
        }
    )
    return plan(experiment, dataset, layout or Layout())


def test_simulated_splits_say_what_is_special_about_them():
    dataset = dataset_from(
        {
            "name": "box",
            "title": "Events in a box",
            "source": "simulation",
            "simulation": {"box": {"voxels": 128}},
            "splits": {
                "train": {"events": 40, "shards": 4, "seed": 1},
                "val": {"events": 5, "seed": 2},
                "test": {"events": 9, "shards": 3, "seed": 3},
                "test_noise": {"like": "test", "simulation": {"response": {"noise": 1200}}},
                "test_unused": {"events": 9, "seed": 4},
            },
        }
    )
    figure = dataset_table(dataset, runs(dataset))
    assert figure.title == "Events in a box"
    assert "In all splits: box.voxels\u00a0=\u00a0128." in figure.caption
    table = figure.table.set_index("split")
    assert list(table.index) == ["train", "val", "test", "test_noise"]
    assert table["used for"].tolist() == ["training", "validation", "evaluation", "evaluation"]
    assert table["events"].tolist() == [40, 5, 9, 9]
    assert table["shards"].tolist() == [4, 1, 3, 3]
    assert table["same particles as"].tolist() == ["–", "–", "–", "test"]
    assert table["settings"].tolist() == ["–", "–", "–", "response.noise\u00a0=\u00a01200"]


def test_settings_that_are_lists_read_as_in_a_config():
    simulation = {"structures": [{"kind": "shells", "number": 4}], "bleaching": 0.2}
    splits = {"train": {"events": 4, "seed": 1}, "val": {"events": 5, "seed": 2}, "test": {"events": 9, "seed": 3}}
    given = {"name": "box", "source": "simulation", "kind": "stacks", "simulation": simulation, "splits": splits}
    dataset = dataset_from(given)
    figure = dataset_table(dataset, runs(dataset, splits=["test"]), "stack")
    said = "structures\u00a0=\u00a0[{kind: shells, number: 4}], bleaching\u00a0=\u00a00.2."
    assert said in figure.caption
    assert "stacks" in figure.table


def test_nothing_special_takes_no_column():
    splits = {"train": {"events": 4, "seed": 1}, "val": {"events": 5, "seed": 2}, "test": {"events": 9, "seed": 3}}
    dataset = dataset_from({"name": "box", "source": "simulation", "splits": splits})
    figure = dataset_table(dataset, runs(dataset, splits=["test"]))
    assert list(figure.table) == ["split", "used for", "events", "shards", "seed"]
    assert "All settings have their defaults" in figure.caption


@pytest.mark.parametrize(
    ("kind", "thing", "page"),
    [
        ("lartpc", "particles", "simulation"),
        ("stacks", "cells", "stacks"),
        ("towns",) * 3,
        ("streets", "streets", "images"),
    ],
)
def test_each_kind_of_simulation_has_its_words_and_its_page(kind, thing, page):
    splits = {"train": {"events": 4, "seed": 1}, "val": {"events": 5, "seed": 2}, "test": {"events": 9, "seed": 3}}
    splits["test_noise"] = {"like": "test", "events": 3}
    dataset = dataset_from({"name": "box", "source": "simulation", "kind": kind, "splits": splits})
    figure = dataset_table(dataset, runs(dataset))
    assert figure.table.set_index("split").loc["test_noise", f"same {thing} as"] == "test"
    assert f"which docs/{page}.md lists with their units" in figure.caption
    assert (Path(__file__).parents[3] / f"docs/{page}.md").is_file()


def test_a_split_that_no_training_reads_has_no_row():
    splits = {"train": {"events": 4, "seed": 1}, "test": {"events": 9, "seed": 3}}
    dataset = dataset_from({"name": "box", "source": "simulation", "splits": splits})
    for training, used in (
        ({"validate_every": None}, "training"),
        ({"hold_out": {"fraction": 0.5}}, "training, some of it validation"),
    ):
        table = dataset_table(dataset, runs(dataset, splits=["test"], **training)).table.set_index("split")
        assert table["used for"].to_dict() == {"train": used, "test": "evaluation"}


def test_files_are_named_and_scored_events_counted(tmp_path):
    dataset = dataset_from(
        {
            "name": "box",
            "source": "files",
            "kind": "larcv3",
            "files": ["/data/a_*.h5", "/data/b.h5"],
            "splits": {"train": {"fraction": 0.5}, "val": {"fraction": 0.1}, "test": {"files": ["/data/c.h5"]}},
        }
    )
    made = runs(dataset, Layout(str(tmp_path)), splits=["test"])
    events = pd.DataFrame({"split": "test", "shard": ["c", "c", "d"], "uid": [1, 2, 3]})
    for run in made:
        (tmp_path / run.score("events")).parent.mkdir(parents=True)
        events.to_parquet(run.score("events"))
    figure = dataset_table(dataset, made)
    table = figure.table.set_index("split")
    assert "of kind larcv3" in figure.caption
    assert table["files"].tolist() == ["/data/a_*.h5, /data/b.h5"] * 2 + ["/data/c.h5"]
    assert table["share of their events"].tolist() == ["0.5", "0.1", "–"]
    assert table.loc["test", ["events", "shards"]].tolist() == [3, 2]
    assert table.loc["train", ["events", "shards"]].tolist() == ["–", "–"]


def test_curated_splits_say_where_labels_come_from(tmp_path):
    merged = {
        "how": "merge",
        "split": "more",
        "segmentation": {"experiment": "one", "variant": "baseline"},
        "other": {"experiment": "two", "stage": "net"},
        "decisions": "mine.csv",
        "accept": {"min_confidence": 0.7},
        "min_probability": 0.6,
    }
    truth = {"how": "takeall", "dataset": "stacks", "split": "val"}
    dataset = dataset_from(
        {"name": "box", "source": "curated", "splits": {"train": merged, "val": truth, "test": truth}}
    )
    made = runs(dataset, Layout(str(tmp_path)), splits=["test"])
    for run in made:
        (tmp_path / run.score("events")).parent.mkdir(parents=True)
        pd.DataFrame({"split": "test", "shard": "test", "uid": [1, 2]}).to_parquet(run.score("events"))
    table = dataset_table(dataset, made).table.set_index("split")
    assert table["events"].tolist() == ["–", "–", 2]
    assert table["curated by"].tolist() == ["merge", "takeall", "takeall"]
    assert table["labels"].tolist() == ["one, baseline, merged with two, net", "truth of stacks", "truth of stacks"]
    assert table.loc["train", "decided by"] == "mine.csv, min_confidence\u00a0=\u00a00.7"
    assert table["least probable voxel"].tolist() == ["0.6", "–", "–"]


def test_settings_are_flattened():
    assert dict(flat({"a": {"b": {"c": [1, 2]}, "d": 2}, "e": 3})) == {"a.b.c": [1, 2], "a.d": 2, "e": 3}
