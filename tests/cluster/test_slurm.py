"""The tiny scale on a real cluster, where there is one: `snakemake --profile slurm` from the project's folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def answer(*command: str) -> str:
    """What a client of Slurm prints, or nothing where it is missing or the controller does not answer."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return ""


@pytest.fixture(scope="module")
def status_command() -> list[str]:
    """Options for a cluster without accounting."""
    if "UP" not in answer("scontrol", "ping"):
        pytest.skip("no Slurm cluster answers here (`scontrol ping`)")
    accounting = "slurmdbd" in answer("scontrol", "show", "config")
    return [] if accounting else ["--slurm-status-command", "squeue"]


@pytest.mark.slow
def test_the_tiny_workflow_on_slurm(status_command):
    # On a real cluster the folder must be one that the nodes see.
    results = ROOT / "results" / f"slurm-test-{os.getpid()}"
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", *status_command]
    quick = ["--slurm-init-seconds-before-status-checks", "5"]
    try:
        done = subprocess.run(
            [*command, *quick, "--config", "scale=tiny", f"results={results.relative_to(ROOT)}"],
            cwd=ROOT,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("has been submitted with SLURM jobid") == 16
        assert (results / "segmentation-tiny/report.html").stat().st_size > 0
    finally:
        shutil.rmtree(results, ignore_errors=True)
