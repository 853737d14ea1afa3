"""A mistake in a configuration is one line that names the file and the key, and nothing runs."""

import pytest
import yaml


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
        ("scael=demo", "config: unknown key 'scael' (did you mean 'scale'?); known: experiments, scale, results"),
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


def test_two_experiments_of_one_name(snakemake, root, tmp_path):
    experiment = yaml.safe_load((root / "config/experiments/segmentation.yaml").read_text())
    experiment["title"] = "another"
    path = tmp_path / "copy.yaml"
    path.write_text(yaml.safe_dump(experiment))
    line = complaint(snakemake, "--config", f"experiments=[segmentation,{path}]")
    assert line == "config: two experiments are called 'segmentation-demo'; rename one"
