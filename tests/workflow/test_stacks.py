"""Stacks through the workflow: simulated, converted, and a user's own, made anew when one of their files changes."""

import re
import time
from pathlib import Path

import pandas as pd
import pytest
import tifffile
import yaml

from weft.io.stack_files import find_stacks
from weft.io.store import EventStore
from weft.io.tiff_write import write_ome_tiff
from weft.metrics.scores import HELD_OUT
from weft.simulation.stacks.produce import simulate_folder
from weft.simulation.stacks.settings import StackSettings


@pytest.fixture(scope="module")
def own(root, tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """An experiment on three stacks of a user, two for training in a folder, one named."""
    folder = tmp_path_factory.mktemp("own")
    settings = StackSettings.parse({"shape": (8, 40, 40), "size": 0.3})
    simulate_folder(settings, 1, 0, 2, folder / "train")
    simulate_folder(settings, 2, 0, 1, folder / "more")
    for name in ("train", "more"):
        for path in (folder / name).glob("*instances*"):
            path.unlink()
    dataset = {
        "name": "mine",
        "source": "files",
        "kind": "stacks",
        "splits": {"train": {"files": [f"{folder}/train"]}}
        | {split: {"files": [f"{folder}/more/*.tif"]} for split in ("val", "test")},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(dataset))
    experiment = yaml.safe_load((root / "config/experiments/volumes.yaml").read_text())
    experiment["dataset"] = f"{folder}/mine.yaml"
    for part in (experiment, *experiment.get("scales", {}).values()):
        for stage in part.get("stages", {}).values():
            stage.get("evaluation", {}).pop("splits", None)
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    given = (f"results={folder}/results", f"experiments=[{folder}/own.yaml]", "scale=tiny")
    return folder, ("--config", *given)


def test_simulated_stacks_are_made_and_converted(snakemake, tmp_path):
    store = f"{tmp_path}/data/stacks-tiny/test/0000.h5"
    given = ("--config", f"results={tmp_path}", "experiments=[volumes]", "scale=tiny")
    snakemake("--cores", "1", *given, "--", store, timeout=280)
    assert len(find_stacks(Path(store).with_suffix(".stacks"))) == 2
    with EventStore.open(store) as made:
        assert {"image", "spacing", "labels", "cost", "instances"} <= set(made.products)
        assert made.events["subrun"].tolist() == [3, 3]
    assert "Nothing to be done" in snakemake("-n", *given, "--", store).stdout


def test_stacks_of_a_user(snakemake, plan_of, own):
    folder, given = own
    jobs = {job.wildcards["split"]: job for job in plan_of(*given) if job.rule == "convert_events"}
    whole = {str(path) for path in (folder / "train").glob("*.tif")}
    assert jobs["train"].input == whole | {f"{folder}/train"}
    one = folder / "more/img_002_00000.ome.tif"
    assert jobs["test"].input == {str(path) for path in (folder / "more").glob("*.tif")}
    assert jobs["test"].wildcards["shard"] == "img_002_00000", "labels and costs are no shards of their own"
    stores = [f"{folder}/results/data/mine/{shard}.h5" for shard in ("train/train", "test/img_002_00000")]
    snakemake("--cores", "1", *given, "--", *stores, timeout=280)
    with EventStore.open(stores[0]) as train, EventStore.open(stores[1]) as test:
        assert (len(train), len(test)) == (2, 1)
        assert "instances" not in train.products
        assert not set(train.events["uid"]) & set(test.events["uid"])
    assert "Nothing to be done" in snakemake("-n", *given, "--", *stores).stdout
    # Labels that were drawn again make their shard again, and only that.
    time.sleep(0.05)
    labels = one.with_name("img_002_00000_GT.ome.tif")
    write_ome_tiff(labels, 1 - tifffile.imread(labels))
    again = [(job.rule, job.wildcards["shard"]) for job in plan_of(*given, "--", *stores)]
    assert again == [("convert_events", "img_002_00000")]


@pytest.fixture
def folds(root, tmp_path) -> tuple[str, ...]:
    """The experiment on stacks as a cross-validation in two folds, on images that have no split `val`."""
    dataset = yaml.safe_load((root / "config/datasets/stacks.yaml").read_text())
    tiny = dataset.pop("scales")["tiny"]["simulation"]
    dataset |= {"name": "few", "simulation": dataset["simulation"] | tiny}
    dataset["splits"] = {"train": {"seed": 1, "events": 3}, "test": {"seed": 3, "events": 1}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(dataset))
    experiment = yaml.safe_load((root / "config/experiments/volumes.yaml").read_text())
    stage = experiment["stages"]["unet"]
    stage["training"] |= {"hold_out": {"fold": 0, "folds": 2}}
    stage |= {"sweep": {"training.hold_out.fold": [0, 1]}, "baseline": None}
    tiny = experiment["scales"]["tiny"]
    del tiny["stages"]["unet"]["baseline"]
    experiment |= {"name": "folds", "dataset": f"{tmp_path}/few.yaml", "scales": {"tiny": tiny}}
    (tmp_path / "folds.yaml").write_text(yaml.safe_dump(experiment))
    return ("--config", f"results={tmp_path}/results", f"experiments=[{tmp_path}/folds.yaml]", "scale=tiny")


def test_a_cross_validation_needs_no_split_to_validate_on(plan_of, folds):
    jobs = plan_of(*folds)
    trained = {job.wildcards["variant"]: job.input for job in jobs if job.rule == "train_stage"}
    assert set(trained) == {"seed0-fold=0", "seed0-fold=1"}
    assert {job.wildcards["split"] for job in jobs if job.rule == "convert_events"} == {"train", "test"}
    assert len(set(trained.values())) == 1, "every fold reads all training events, and leaves its own out"


@pytest.mark.slow
def test_a_cross_validation_from_stacks_to_report(snakemake, folds, tmp_path):
    snakemake("--cores", "1", *folds, timeout=590)
    models = sorted((tmp_path / "results/folds-tiny/unet").glob("seed0-fold=*/"))
    held_out = [pd.read_parquet(model / HELD_OUT) for model in models]
    with EventStore.open(tmp_path / "results/data/few/train/0000.h5") as train:
        uids = train.events["uid"].tolist()
    assert sorted(uid for table in held_out for uid in table["uid"]) == sorted(uids), "each stack is held out once"
    page = (tmp_path / "results/folds-tiny/report.html").read_text()
    table = page[page.index('id="unet-folds"') :]
    table = table[: table.index("</figure>")]
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]
    folds_shown = {re.sub("<[^>]*>", "", row[0]): re.sub("<[^>]*>", "", row[2]) for row in cells[1:]}
    assert folds_shown == {str(k): str(len(held_out[k])) for k in (0, 1)} | {"all": "3"}
    assert "A cross-validation: each of 2 folds was held out once" in page
