"""Running Snakemake as a user does: a new process in the project's folder."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def run_snakemake(*arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """``snakemake ARGUMENTS`` from the project's folder; its two streams come back as one text."""
    pytest.importorskip("snakemake")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    if check and done.returncode:
        pytest.fail(f"snakemake {' '.join(arguments)} left with {done.returncode}:\n{done.stdout}")
    return done


@pytest.fixture(scope="session")
def snakemake() -> Snakemake:
    return run_snakemake


@pytest.fixture(scope="session")
def weft() -> Callable[..., str]:
    """``weft ARGUMENTS`` from the project's folder, which must succeed; what it prints."""

    def run(*arguments: str) -> str:
        done = subprocess.run([sys.executable, "-m", "weft", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@dataclass(frozen=True)
class Job:
    """One job of a dry run."""

    rule: str
    wildcards: dict[str, str]
    input: frozenset[str]
    output: frozenset[str]


def planned_jobs(*settings: str) -> list[Job]:
    """What ``snakemake -n`` would do."""
    jobs = []
    for rule, body in re.findall(
        r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", run_snakemake("-n", *settings).stdout, re.M
    ):
        fields = dict(line.strip().partition(": ")[::2] for line in body.splitlines())
        lists = {key: [item for item in fields.get(key, "").split(", ") if item] for key in fields}
        wildcards = dict(item.split("=", 1) for item in lists.get("wildcards", ()))
        jobs.append(Job(rule, wildcards, frozenset(lists.get("input", ())), frozenset(lists.get("output", ()))))
    return jobs


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., list[Job]]:
    return planned_jobs


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
