"""Profiles: found by name from the project's folder, and not in each other's way."""

import yaml


def test_slurm_resolves_from_the_root(snakemake, tmp_path):
    done = snakemake("--profile", "slurm", "-n", "--quiet", "rules", "--config", f"results={tmp_path}")
    assert "profile slurm" in done.stdout
    assert "train_stage" in done.stdout


def test_slurm_is_the_link(root):
    assert (root / "slurm").is_symlink()
    assert (root / "slurm").resolve() == root / "profiles" / "slurm"


def test_the_default_profile_leaves_the_machine_alone(root):
    """It applies beside any other profile and wins, so what it set could not be changed by one."""
    keys = yaml.safe_load((root / "profiles/default/profile.yaml").read_text()).keys()
    assert not keys & {"executor", "cores", "jobs", "default-resources", "set-resources", "set-threads"}


def test_every_job_asks_for_enough_memory_and_time(root):
    """A Slurm job runs Snakemake itself twice: less than 1 GB can be killed before our code starts."""
    defaults = yaml.safe_load((root / "profiles/slurm/profile.yaml").read_text())["default-resources"]
    assert defaults["mem_mb"] >= 1000
    assert defaults["runtime"] >= 1
