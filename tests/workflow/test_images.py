"""Images of a user through the workflow: what a conversion reads, and that it is made anew when a mask changes."""

import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from weft.io.store import EventStore
from weft.simulation.streets.produce import simulate_folder
from weft.simulation.streets.settings import StreetSettings


@pytest.fixture(scope="module")
def own(root, tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """An experiment on pictures of a user, in the folders of the seed."""
    folder = tmp_path_factory.mktemp("own")
    settings = StreetSettings.parse({"shape": (32, 48)})
    for seed, split in enumerate(("train", "val", "test"), 1):
        simulate_folder(settings, seed, 0, 2, folder / "made")
        for place in ("images", "masks"):
            (folder / "data" / place).mkdir(parents=True, exist_ok=True)
            (folder / "made" / place).rename(folder / "data" / place / split)
        (folder / "made/classes.txt").rename(folder / "data/classes.txt")
    splits = {split: {"files": [f"{folder}/data/images/{split}"]} for split in ("train", "val", "test")}
    dataset = {"name": "mine", "source": "files", "kind": "images", "splits": splits}
    (folder / "mine.yaml").write_text(yaml.safe_dump(dataset))
    experiment = yaml.safe_load((root / "config/experiments/images.yaml").read_text())
    experiment["dataset"] = f"{folder}/mine.yaml"
    for part in (experiment, *experiment.get("scales", {}).values()):
        for stage in part.get("stages", {}).values():
            stage.get("evaluation", {}).pop("splits", None)
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    given = (f"results={folder}/results", f"experiments=[{folder}/own.yaml]", "scale=tiny")
    return folder, ("--config", *given)


def test_images_of_a_user(snakemake, plan_of, own):
    folder, given = own
    jobs = {job.wildcards["split"]: job for job in plan_of(*given) if job.rule == "convert_events"}
    read = [*(folder / "data/images/train").iterdir(), *(folder / "data/masks/train").iterdir()]
    assert jobs["train"].input == {str(path) for path in (*read, folder / "data/images/train")} | {
        f"{folder}/data/classes.txt"
    }
    stores = [f"{folder}/results/data/mine/{split}/{split}.h5" for split in ("train", "test")]
    snakemake("--cores", "1", *given, "--", *stores, timeout=280)
    with EventStore.open(stores[0]) as train, EventStore.open(stores[1]) as test:
        assert (len(train), len(test)) == (2, 2)
        assert {"picture", "mask", "origin"} <= set(train.products)
        assert not set(train.events["uid"]) & set(test.events["uid"])
    # A mask that was drawn again makes its shard again, and only that.
    time.sleep(0.05)
    mask = next((folder / "data/masks/test").iterdir())
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(mask)
    again = [(job.rule, job.wildcards["shard"]) for job in plan_of(*given, "--", *stores)]
    assert again == [("convert_events", "test")]
