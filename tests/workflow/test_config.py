"""A mistake in a configuration is one line that names the file and the key, and nothing runs."""

import pytest
import yaml

TRAINING = {"iterations": 1, "batch_size": 1}


def complaint(snakemake, *arguments: str) -> str:
    """The one line that Snakemake leaves with, after its own remarks."""
    done = snakemake("-n", *arguments, check=False)
    assert done.returncode == 1
    remarks = ("Using workflow specific profile", "Config file config/config.yaml is extended")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(remarks)]
    assert len(lines) == 1, done.stdout
    return lines[0]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (
            "scael=demo",
            "config: unknown key 'scael' (did you mean 'scale'?); "
            "known: experiments, scale, results, model, files, set",
        ),
        ("scale=huge", "config: scale: 'huge' is not one of ['tiny', 'demo', 'study', 'reference']"),
        ("experiments=segmentation", "config: experiments: 'segmentation' is not of type 'array'"),
        ("experiments=[]", "config: experiments: [] should be non-empty"),
        ("results=", "config: results: None is not of type 'string'"),
    ],
)
def test_config_yaml(snakemake, setting, expected):
    assert complaint(snakemake, "--config", setting) == expected


def test_unknown_experiment(snakemake):
    line = complaint(snakemake, "--config", "experiments=[segmentatoin]")
    assert line.startswith("config: unknown experiment 'segmentatoin' (did you mean 'segmentation'?)")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda e: e["stages"]["uresnet"].update(optimiser={}),
            "'stages.uresnet.optimiser' (did you mean 'optimizer'?)",
        ),
        (lambda e: e["stages"]["uresnet"]["model"].update(fliters=8), "(did you mean 'filters'?)"),
        (lambda e: e["stages"]["uresnet"].update(task="segmentaton"), "no task 'segmentaton' (did you mean"),
        (lambda e: e["stages"]["uresnet"].update(needs={"unet": {}}), "stages.uresnet.needs.unet: no such stage"),
        (
            lambda e: e["scales"]["demo"]["stages"].update(
                second={"task": "segmentation", "needs": {"uresnet": {"seed": 7}}, "training": TRAINING}
            ),
            "stages.second.needs.uresnet.seed: 7 is not one of the seeds",
        ),
        (lambda e: e["stages"]["uresnet"].update(evaluation={"splits": ["tset"]}), "has no split 'tset'"),
        (lambda e: e.update(dataset="lartcp"), "unknown dataset 'lartcp' (did you mean 'lartpc'?)"),
    ],
)
def test_experiment(snakemake, root, tmp_path, change, expected):
    experiment = yaml.safe_load((root / "config/experiments/segmentation.yaml").read_text())
    change(experiment)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(experiment))
    assert expected in complaint(snakemake, "--config", f"experiments=[{path}]")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"manifest": "absent.csv"}, "absent.csv: no such file; `weft inspect --manifest` makes it"),
        ({"manifest": "README.md"}, "README.md: expected the columns file,start,stop"),
        ({"files": ["absent/*.root"]}, "no file matches 'absent/*.root'"),
    ],
)
def test_dataset_of_files(snakemake, root, tmp_path, source, expected):
    splits = {"train": {"fraction": 0.8}, "val": {"fraction": 0.1}, "test": {"fraction": 0.1}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "source": "files", "splits": splits} | source))
    experiment = yaml.safe_load((root / "config/experiments/segmentation.yaml").read_text())
    experiment["dataset"] = str(tmp_path / "mine.yaml")
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    line = complaint(snakemake, "--config", f"experiments=[{tmp_path}/experiment.yaml]")
    assert line.startswith("config: dataset 'mine'")
    assert expected in line


@pytest.mark.parametrize(
    ("simulation", "expected"),
    [
        ({"response": {"lifetme": 3}}, "unknown key 'response.lifetme' (did you mean 'lifetime'?)"),
        ({"rain": {"vertices": [2, 1]}}, "rain: vertices (2, 1): expected 0 <= fewest <= most"),
        ({"box": {"voxels": 8}}, "box.voxels: input should be greater than or equal to 32, got 8"),
    ],
)
def test_settings_of_the_simulation(snakemake, root, tmp_path, simulation, expected):
    dataset = yaml.safe_load((root / "config/datasets/lartpc.yaml").read_text())
    dataset["splits"]["test_birks"]["simulation"] = simulation
    (tmp_path / "lartpc.yaml").write_text(yaml.safe_dump(dataset))
    experiment = yaml.safe_load((root / "config/experiments/segmentation.yaml").read_text())
    experiment["dataset"] = str(tmp_path / "lartpc.yaml")
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    line = complaint(snakemake, "--config", f"experiments=[{tmp_path}/experiment.yaml]")
    assert line.startswith(f"config: dataset 'lartpc', split 'test_birks': simulation: {expected}")


def test_two_experiments_of_one_name(snakemake, root, tmp_path):
    experiment = yaml.safe_load((root / "config/experiments/segmentation.yaml").read_text())
    experiment["title"] = "another"
    path = tmp_path / "copy.yaml"
    path.write_text(yaml.safe_dump(experiment))
    line = complaint(snakemake, "--config", f"experiments=[segmentation,{path}]")
    assert line == "config: two experiments are called 'segmentation-demo'; rename one"
