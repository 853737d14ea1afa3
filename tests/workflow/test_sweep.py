"""A sweep is fanned out by the same rules, and a change of it touches nothing but the points that it adds."""

import os
import time
from pathlib import Path

import pytest
import yaml

NET = {"task": "segmentation", "training": {"iterations": 1, "batch_size": 1}, "model": {"filters": 2, "depth": 2}}
SWEEP = {"optimizer.lr": [1e-3, 3e-4], "model.reps": [1, 2]}


@pytest.fixture
def settings(tmp_path):
    """Writes an experiment of a swept stage and one that follows it; gives the settings of a run of it."""

    def write(**keys):
        late = NET | {"needs": {"net": {"weights": "best"}}, "follow": True, "baseline": None}
        stages = {"net": NET | {"sweep": SWEEP} | keys, "late": late}
        experiment = {"name": "swept", "dataset": "lartpc", "seeds": [0, 1], "stages": stages}
        (tmp_path / "swept.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
        return ("--config", "scale=tiny", f"results={tmp_path}/results", f"experiments=[{tmp_path}/swept.yaml]")

    return write


def trained(jobs) -> dict[str, frozenset[str]]:
    """Inputs of the trainings of a dry run, by stage and variant."""
    return {
        f"{job.wildcards['stage']}/{job.wildcards['variant']}": job.input for job in jobs if job.rule == "train_stage"
    }


def test_each_point_and_seed_is_a_job(plan_of, settings, tmp_path):
    made = trained(plan_of(*settings()))
    points = [f"lr={lr}-reps={reps}" for lr in ("0.001", "0.0003") for reps in (1, 2)]
    net = {f"net/seed{seed}-{point}" for seed in (0, 1) for point in points}
    late = {f"late/seed{seed}-net.{point}" for seed in (0, 1) for point in points}
    assert set(made) == net | late | {"net/baseline"}
    upstream = f"{tmp_path}/results/swept/net/seed1-lr=0.0003-reps=2/model.ckpt"
    assert upstream in made["late/seed1-net.lr=0.0003-reps=2"]
    assert sum(upstream in inputs for inputs in made.values()) == 1


def test_one_point_is_a_target(plan_of, settings, tmp_path):
    target = f"{tmp_path}/results/swept/net/seed0-lr=0.001-reps=2/scores/truth/events.parquet"
    assert set(trained(plan_of(*settings(), "--", target))) == {"net/seed0-lr=0.001-reps=2"}


def test_a_new_point_trains_itself_and_nothing_else(plan_of, settings):
    """The files of the first sweep are there; then a point comes, or goes. That the parameters of the points that
    stay are the same is checked where they are made, in tests/unit/config/test_sweep.py."""
    now = time.time()
    for job in plan_of(*settings()):
        for path in map(Path, job.output if not job.rule.startswith("render") else ()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (now, now))
    more = trained(plan_of(*settings(sweep=SWEEP | {"optimizer.lr": [1e-2, *SWEEP["optimizer.lr"]]})))
    points = [f"lr=0.01-reps={reps}" for reps in (1, 2)]
    kinds = [f"{kind}{point}" for kind in ("net/seed{}-", "late/seed{}-net.") for point in points]
    assert set(more) == {kind.format(seed) for kind in kinds for seed in (0, 1)}
    assert trained(plan_of(*settings(sweep=SWEEP | {"optimizer.lr": [3e-4]}))) == {}
