"""What Snakemake would do, from the project's folder, without doing it."""

import re
import time

import pytest

from weft.config import load_dataset, load_experiment


def counted(text: str) -> dict[str, int]:
    """The table of jobs that a dry run prints."""
    return {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}


def test_default_config_is_planned_in_five_seconds(snakemake, tmp_path):
    arguments = ("-n", "--quiet", "rules", "--config", f"results={tmp_path}")
    seconds = []
    for _ in range(3):  # the best of three: other work on the machine is not ours
        start = time.monotonic()
        done = snakemake(*arguments)
        seconds.append(time.monotonic() - start)
        if seconds[-1] < 5:
            break
    assert min(seconds) < 5, seconds
    jobs = counted(done.stdout)
    assert jobs["all"] == jobs["render_index"] == jobs["render_report"] == 1
    assert sum(jobs.values()) - jobs["total"] == jobs["total"]


@pytest.mark.parametrize("scale", ["tiny", "demo", "study", "reference"])
def test_one_job_per_shard_and_variant(snakemake, tmp_path, scale):
    jobs = counted(snakemake("-n", "--quiet", "rules", "--config", f"scale={scale}", f"results={tmp_path}").stdout)
    experiment, dataset = load_experiment("segmentation", scale), load_dataset("lartpc", scale)
    scored = experiment.stages["uresnet"].evaluation.splits
    variants = len(experiment.seeds) + 1
    shards = {split: len(dataset.shards(split)) for split in ("train", "val", *scored)}
    assert jobs["simulate_events"] == jobs["convert_events"] == sum(shards.values())
    assert jobs["train_stage"] == jobs["evaluate_stage"] == variants
    assert jobs["deploy_stage"] == variants * sum(shards[split] for split in scored)


def test_an_experiment_is_a_target(snakemake, tmp_path):
    jobs = counted(snakemake("-n", "--quiet", "rules", "--config", f"results={tmp_path}", "--", "segmentation").stdout)
    assert jobs["segmentation"] == jobs["render_report"] == 1
    assert "render_index" not in jobs


def test_lint(snakemake):
    assert "good condition" in snakemake("--lint").stdout
