"""The tiny scale of the whole workflow, from simulation to report; what a second run does; what a change does."""

import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from weft.config import Layout, load_dataset, load_experiment, plan


@pytest.fixture(scope="module")
def tiny(snakemake, tmp_path_factory):
    """A finished run of everything at the tiny scale: settings of the run, and its folder."""
    results = tmp_path_factory.mktemp("tiny")
    settings = ("--config", "scale=tiny", f"results={results}")
    done = snakemake("--cores", "2", *settings, timeout=900)
    assert f"Report: {results}/segmentation-tiny/report.html" in done.stdout
    return settings, results


def test_every_run_left_its_files(tiny):
    experiment, dataset = load_experiment("segmentation", "tiny"), load_dataset("lartpc", "tiny")
    for run in plan(experiment, dataset, Layout(str(tiny[1]))):
        events = pd.read_parquet(run.score("events"))
        expected = sum(dataset.split(split).events for split in run.stage.evaluation.splits)
        assert len(events) == expected
        assert all(os.path.getsize(path) for path in (run.model, run.provenance, run.log))


def test_the_report_is_one_page_of_its_own(tiny):
    page = (tiny[1] / "segmentation-tiny/report.html").read_text()
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|png|svg)', page)
    assert "segmentation-tiny/report.html" in (tiny[1] / "index.html").read_text()


def test_every_job_left_log_and_benchmark(tiny):
    results = tiny[1]
    logs = {path.relative_to(results / "logs").with_suffix("") for path in results.glob("logs/**/*.log")}
    times = {path.relative_to(results / "benchmarks").with_suffix("") for path in results.glob("benchmarks/**/*.tsv")}
    assert logs == times
    assert len(logs) == 16


def test_a_second_run_does_nothing(snakemake, tiny):
    assert "Nothing to be done" in snakemake("--cores", "2", *tiny[0]).stdout


def test_snakemakes_own_report(snakemake, tiny, tmp_path):
    page = tmp_path / "snakemake.html"
    snakemake("--report", str(page), *tiny[0])
    text = page.read_text()
    assert "Experiments" in text
    assert "segmentation-tiny" in text


@pytest.fixture
def changed(root, tiny, tmp_path):
    """The segmentation experiment with changes to its stage, as settings of a run into the finished results."""

    def change(**keys):
        experiment = yaml.safe_load((root / "config/experiments/segmentation.yaml").read_text())
        experiment["scales"]["tiny"]["stages"]["uresnet"].update(keys)
        path = tmp_path / "segmentation.yaml"
        path.write_text(yaml.safe_dump(experiment))
        return ("--config", "scale=tiny", f"results={tiny[1]}", f"experiments=[{path}]")

    return change


def to_do(plan_of, settings) -> set[str]:
    """Jobs of a dry run, as rule and variant."""
    return {" ".join(filter(None, (job.rule, job.wildcards.get("variant")))) for job in plan_of(*settings)}


def test_a_changed_optimiser_retrains_only_the_model(plan_of, changed):
    jobs = to_do(plan_of, changed(optimizer={"name": "SGD", "lr": 0.1}))
    learned = {f"{rule}_stage seed0" for rule in ("train", "deploy", "evaluate")}
    assert jobs == learned | {"render_report", "render_index", "all"}


def test_a_changed_baseline_refits_only_the_baseline(plan_of, changed):
    jobs = to_do(plan_of, changed(baseline={"iterations": 3}))
    assert {job for job in jobs if "train" in job} == {"train_stage baseline"}
    assert "deploy_stage seed0" not in jobs


def test_what_a_job_runs_on_changes_no_result(plan_of, changed):
    jobs = to_do(plan_of, changed(resources={"threads": 1, "mem_mb": 3000, "runtime": 7}))
    assert jobs <= {"render_report", "render_index", "all"}


def test_an_interrupted_training_goes_on(snakemake, root, tiny, changed):
    """Ctrl-C in the middle of a training: the job saves and leaves, and the next run takes it up where it was."""
    results = tiny[1]
    training = {"iterations": 80, "batch_size": 1, "validate_every": 1000, "log_every": 1}
    settings = changed(training=training)
    target = f"{results}/segmentation-tiny/uresnet/seed0/model.ckpt"
    log = results / "logs/train_stage/segmentation-tiny/uresnet/seed0.log"
    log.unlink()

    command = [sys.executable, "-m", "snakemake", "--cores", "2", *settings, "--", target]
    with open(results / "interrupted.txt", "w") as output:
        process = subprocess.Popen(command, cwd=root, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (log.exists() and "train step 10:" in log.read_text()):
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert process.wait(120) != 0
    stopped = re.search(r"stopped after step (\d+) of 80, everything saved; run again", log.read_text())
    assert stopped, log.read_text()
    assert not os.path.exists(target)

    snakemake("--cores", "2", *settings, "--", target)
    assert f"resuming at step {stopped[1]}" in log.read_text()
    assert "train step 80:" in log.read_text()
