"""Segment, curate, train in one call: of stacks without labels, by a table of decisions, or by a rule."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from weft.io.store import EventStore
from weft.volumes.curation.table import read_table

POLYGON = [[0, 0], [20, 0], [20, 64], [0, 64], [0, 0]]


@pytest.fixture(scope="module")
def own(root, tmp_path_factory) -> tuple[Path, tuple[str, ...]]:
    """The experiment on curated stacks with a person's decisions: one of two images, with a polygon left out."""
    folder = tmp_path_factory.mktemp("curated")
    (folder / "left_out.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [POLYGON]}))
    (folder / "mine.csv").write_text("image,score,excluding_mask\nimg_004_00000,1,left_out.geojson\nimg_004_00001,0,\n")
    dataset = yaml.safe_load((root / "config/datasets/curated_stacks.yaml").read_text())
    dataset["splits"]["train"] |= {"decisions": f"{folder}/mine.csv"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(dataset))
    experiment = yaml.safe_load((root / "config/experiments/volumes_curated.yaml").read_text())
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment | {"dataset": f"{folder}/mine.yaml"}))
    given = (f"results={folder}/results", f"experiments=[{folder}/own.yaml]", "scale=tiny")
    return folder, ("--config", *given)


def test_the_loop_is_one_graph(plan_of, tmp_path):
    jobs = plan_of("--config", f"results={tmp_path}", "experiments=[volumes_curated]", "scale=tiny")
    makers = {path: job for job in jobs for path in job.output}

    def before(job) -> set[str]:
        """Rule and experiment, dataset or split of all that a job waits for."""
        waits = [makers[path] for path in job.input if path in makers]
        wild = [(one, one.wildcards) for one in waits]
        own = {
            f"{one.rule} {w.get('experiment', w.get('dataset', ''))} {w.get('split', '')}".strip() for one, w in wild
        }
        return own.union(*(before(one) for one in waits))

    training = [
        job for job in jobs if job.rule == "train_stage" and job.wildcards["experiment"] == "volumes_curated-tiny"
    ]
    assert len(training) == 2
    for job in training:
        assert {
            "train_stage volumes-tiny",
            "deploy_stage volumes-tiny unlabelled",
            "review_stacks curated_stacks-tiny train",
            "curate_stacks curated_stacks-tiny train",
            "convert_events curated_stacks-tiny train",
        } <= before(job)
    # Both experiments are reported on by a plain call: the one that segments is part of it.
    assert {job.wildcards["experiment"] for job in jobs if job.rule == "render_report"} == {
        "volumes-tiny", "volumes_curated-tiny",
    }  # fmt: skip
    assert {job.wildcards["dataset"] for job in jobs if job.rule == "simulate_stacks"} == {"stacks-tiny"}


def test_segmented_curated_and_trained(snakemake, plan_of, own):
    folder, given = own
    data = folder / "results/data"
    model = f"{folder}/results/volumes_curated-tiny/unet/seed0/model.ckpt"
    snakemake("--cores", "1", *given, "--", model, timeout=400)
    table = read_table(data / "curated_stacks-tiny/train/review/candidates.csv")
    assert [row.image for row in table] == ["img_004_00000", "img_004_00001"]
    assert all((data / "curated_stacks-tiny/train/review" / row.sheet).is_file() for row in table)
    assert all("confidence" in row.measures for row in table)
    stores = {"truth": data / "stacks-tiny/unlabelled/0000.h5", "curated": data / "curated_stacks-tiny/train/train.h5"}
    made = folder / "results/volumes-tiny/unet/seed0/predictions/truth/unlabelled/0000.h5"
    with (
        EventStore.open(stores["truth"]) as truth,
        EventStore.open(made) as predicted,
        EventStore.open(stores["curated"]) as curated,
    ):
        assert curated.events["uid"].tolist() == truth.events["uid"][:1].tolist(), "an image keeps its identity"
        assert np.array_equal(curated["image"][0][:], truth["image"][0][:])
        assert np.array_equal(curated["labels"][0][:], predicted["labels"][0][:]), "labels are what was segmented"
        cost = curated["cost"][0][:]
        assert not cost[..., :20].any()
        assert (cost[..., 20:] == 1).all()
    with (
        EventStore.open(data / "stacks-tiny/val/0000.h5") as truth,
        EventStore.open(data / "curated_stacks-tiny/val/val.h5") as judged,
    ):
        assert np.array_equal(truth.events, judged.events)
        assert np.array_equal(truth["instances"][0][:], judged["instances"][0][:])
    assert "Nothing to be done" in snakemake("-n", *given, "--", model).stdout
    # Who decides otherwise trains again, and segments nothing again.
    time.sleep(0.05)
    (folder / "left_out.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [POLYGON[1:]]}))
    again = {job.rule for job in plan_of(*given, "--", model)}
    assert again == {"curate_stacks", "convert_events", "train_stage"}


def test_decisions_that_cannot_be_read_stop_the_plan_in_one_line(snakemake, own):
    folder, given = own
    dataset = yaml.safe_load((folder / "mine.yaml").read_text())
    (folder / "wrong.csv").write_text("image,scor\na,1\n")
    dataset["splits"]["train"]["decisions"] = f"{folder}/wrong.csv"
    (folder / "wrong.yaml").write_text(yaml.safe_dump(dataset))
    experiment = yaml.safe_load((folder / "own.yaml").read_text())
    (folder / "wrong_own.yaml").write_text(yaml.safe_dump(experiment | {"dataset": f"{folder}/wrong.yaml"}))
    wrong = [text.replace("/own.yaml", "/wrong_own.yaml") for text in given]
    done = snakemake("-n", *wrong, check=False)
    assert done.returncode != 0
    assert f"config: {folder}/wrong.csv: unknown column 'scor'" in done.stdout
