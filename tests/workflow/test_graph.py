"""The graph of jobs follows from the stages' needs."""

import pytest
import yaml

STAGES = {
    "first": {},
    "second": {"needs": {"first": {"weights": "best"}, "truth": ["voxels"]}},
    "third": {"task": "graph_spice", "needs": {"first": {"predictions": ["semantics"]}}},
    "alone": {},
}


@pytest.fixture(scope="module")
def edges(plan_of, tmp_path_factory) -> dict[str, set[str]]:
    """The jobs that each job waits for, by rule and stage, of an experiment with four stages of one seed."""
    folder = tmp_path_factory.mktemp("graph")
    training = {"task": "segmentation", "training": {"iterations": 1, "batch_size": 1}, "baseline": None}
    experiment = {
        "name": "four",
        "dataset": "lartpc",
        "stages": {name: training | needs for name, needs in STAGES.items()},
    }
    (folder / "four.yaml").write_text(yaml.safe_dump(experiment))
    jobs = plan_of("--config", "scale=tiny", f"results={folder}", f"experiments=[{folder}/four.yaml]")
    maker = {path: label(job) for job in jobs for path in job.output}
    found: dict[str, set[str]] = {}
    for job in jobs:
        found.setdefault(label(job), set()).update(maker[path] for path in job.input)
    return found


def label(job) -> str:
    return " ".join(filter(None, (job.rule, job.wildcards.get("stage"))))


def before(edges: dict[str, set[str]], job: str) -> set[str]:
    """All that must be done before a job."""
    return set().union(*({earlier} | before(edges, earlier) for earlier in edges[job]))


def test_weights_make_a_stage_wait_for_the_training(edges):
    assert edges["train_stage second"] == {"convert_events", "train_stage first"}


def test_predictions_make_a_stage_wait_for_the_deploy(edges):
    assert edges["train_stage third"] == {"convert_events", "deploy_stage first"}
    assert "train_stage first" in before(edges, "train_stage third")


def test_independent_stages_do_not_wait_for_each_other(edges):
    assert before(edges, "train_stage alone") == {"simulate_events", "convert_events"}
    assert not {"train_stage third", "deploy_stage third"} & before(edges, "evaluate_stage second")


def test_scores_wait_for_no_model_but_their_own(edges):
    assert edges["evaluate_stage alone"] == {"convert_events", "deploy_stage alone"}


def test_files_of_ones_own_are_converted_one_by_one(plan_of, tmp_path):
    """A dataset of files: nothing is simulated, and a file that two splits share is read for each."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.root").touch()
    splits = {"train": {"fraction": 0.8}, "val": {"fraction": 0.1}, "test": {"fraction": 0.1}}
    dataset = {"name": "mine", "source": "files", "files": [f"{tmp_path}/*.root"], "splits": splits}
    stage = {"task": "segmentation", "training": {"iterations": 1, "batch_size": 1}}
    experiment = {"name": "own", "dataset": f"{tmp_path}/mine.yaml", "stages": {"uresnet": stage}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(dataset))
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(experiment))
    jobs = plan_of("--config", f"results={tmp_path}/results", f"experiments=[{tmp_path}/own.yaml]")
    made = {(job.wildcards["split"], *job.input) for job in jobs if job.rule == "convert_events"}
    assert made == {(split, f"{tmp_path}/{name}.root") for split in splits for name in ("a", "b")}
    assert "simulate_events" not in {job.rule for job in jobs}
