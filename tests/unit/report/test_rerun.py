import shlex

import pytest

from weft.config import Layout, load_dataset, load_experiment, plan
from weft.report import rerun


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """An experiment of no scale at a path with a space, on a dataset with scales."""
    folder = tmp_path_factory.mktemp("my experiments")
    (folder / "box.yaml").write_text(
        "name: box\nsource: simulation\nsplits: {train: {seed: 1}, val: {seed: 2}, test: {seed: 3}}\n"
        "scales: {tiny: {splits: {train: {events: 2}, val: {events: 2}, test: {events: 2}}}}\n"
    )
    path = folder / "voxels.yaml"
    path.write_text(
        f"name: voxels\ndataset: {folder}/box.yaml\n"
        "stages: {net: {task: segmentation, training: {iterations: 5, batch_size: 1}}}\n"
    )
    experiment = load_experiment(path, "tiny")
    return experiment, load_dataset(experiment.dataset, "tiny"), str(path)


def test_commands_name_the_file_the_scale_and_the_results(loaded):
    experiment, dataset, path = loaded
    commands = dict(rerun.whole(experiment, dataset, Layout("/scratch/my runs"), path))
    everything, cluster, page = (shlex.split(command) for command in commands.values())
    config = [f"experiments=[{path}]", "scale=tiny", "results=/scratch/my runs"]
    assert everything == ["snakemake", "--cores", "2", "--config", *config]
    assert cluster == ["snakemake", "--profile", "slurm", "--config", *config]
    assert page == ["weft", "report", path, "--scale", "tiny", "--results", "/scratch/my runs"]


def test_training_one_variant(loaded):
    experiment, dataset, path = loaded
    run = plan(experiment, dataset, Layout("moved"))[0]
    assert shlex.split(rerun.train(run, path)) == [
        "weft", "train", path, "--stage", "net", "--variant", "seed0", "--scale", "tiny", "--results", "moved"
    ]  # fmt: skip
