"""Experiments without a truth on the command line: what became of each file, and what cannot be asked."""

from pathlib import Path

import pytest
import yaml
from command_line import weft

TOY = Path(__file__).resolve().parents[3] / "config/detectors/toy.yaml"


@pytest.fixture
def experiment(tmp_path):
    """Two stages that learn nothing, on two files."""
    for name in ("a.root", "b.root"):
        (tmp_path / name).touch()
    splits = {"files": {"files": [f"{tmp_path}/*.root"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "source": "files", "splits": splits}))
    evaluation = {"splits": ["files"]}
    stages = {
        "triplets": {"task": "triplets", "model": {"detector": str(TOY)}, "evaluation": evaluation},
        "space_points": {
            "task": "space_points",
            "needs": {"triplets": ["pixels", "triplets"]},
            "baseline": None,
            "evaluation": evaluation,
        },
    }
    document = {"name": "real", "dataset": str(tmp_path / "mine.yaml"), "truth": False, "stages": stages}
    (tmp_path / "real.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "real.yaml"


def test_status_says_what_became_of_each_file(experiment, tmp_path, capsys):
    results = tmp_path / "results"
    log = results / "logs/convert_events/mine/files/b.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: b.root: truncated\n")
    assert weft("status", experiment, "--results", results) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0 of 2 files done, 1 missing, 1 failed",
        f"missing: {tmp_path}/a.root (seed0)",
        f"failed: {tmp_path}/b.root (seed0): b.root: truncated",
    ]


@pytest.mark.parametrize("verb", [("evaluate", "--stage", "triplets"), ("report",)])
def test_there_is_nothing_to_judge_by(experiment, tmp_path, capsys, verb):
    name, *options = verb
    assert weft(name, experiment, *options, "--results", tmp_path / "results") == 1
    assert "experiment 'real' has no truth to judge by (truth: false)" in capsys.readouterr().err
