import json
import subprocess
import sys

import pytest
import yaml

from weft.config import load_dataset
from weft.errors import WeftError
from weft.simulation.settings import SimulationSettings, settings_of


def test_defaults_and_one_line_overrides():
    assert SimulationSettings.parse({}) == SimulationSettings()
    assert SimulationSettings.parse({"response": {"recombination": "birks"}}).response.recombination == "birks"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"respons": {}}, "did you mean 'response'"),
        ({"response": {"lifetime_ms": 3}}, "lifetime"),
        ({"response": {"lifetime": -3}}, "response.lifetime"),
        ({"response": {"recombination": "box"}}, "response.recombination"),
        ({"box": {"voxels": 8}}, "box.voxels"),
        ({"response": {"diffusion_transverse": 100}}, "diffusion reaches"),
        ({"rain": {"wall": 80, "blocks": [{"species": ["mu-"]}]}}, "rain.wall leaves no room"),
        ({"rain": {"blocks": [{"species": ["tau-"]}]}}, "rain.blocks.0.species.0"),
        ({"rain": {"blocks": [{"species": ["mu-"], "energy": [30, 20]}]}}, "lowest <= highest"),
        ({"rain": {"particles": [1, 5], "blocks": [{"species": ["mu-"], "count": [0, 3]}]}}, "the most is more"),
        ({"rain": {"particles": [1, 5], "blocks": [{"species": ["mu-"], "count": [2, 9]}]}}, "the fewest is less"),
    ],
)
def test_one_line_says_what_is_wrong(values, expected):
    with pytest.raises(WeftError, match=r"^simulation settings: [^\n]+$") as caught:
        SimulationSettings.parse(values)
    assert expected in str(caught.value)


def test_values_go_over_the_defaults_key_by_key():
    settings = SimulationSettings.parse({"rain": {"vertices": (1, 9)}, "box": {"voxels": 768}})
    assert settings.rain.vertices == (1, 9)
    assert settings.rain.blocks == SimulationSettings().rain.blocks
    assert settings.box.voxel_size == 0.3
    only = [{"species": ["proton"]}]
    assert len(SimulationSettings.parse({"rain": {"blocks": only}}).rain.blocks) == 1


def dataset(tmp_path, **keys):
    document = {"name": "own", "source": "simulation", "splits": {"train": {"events": 2, "seed": 1}}} | keys
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(document))
    return load_dataset(tmp_path / "own.yaml")


def test_settings_of_a_split_are_complete_and_survive_their_way_to_a_job(tmp_path):
    own = dataset(tmp_path, simulation={"rain": {"vertices": [0, 0]}, "response": {"noise": 500}})
    settings = settings_of(own, "train")
    assert settings == SimulationSettings.parse({"rain": {"vertices": (0, 0)}, "response": {"noise": 500}})
    travelled = json.loads(json.dumps(settings.model_dump(mode="json")))
    assert set(travelled) == set(SimulationSettings.model_fields) - {"wires"}, "there are none"
    assert SimulationSettings.model_validate(travelled) == settings


def test_a_mistake_in_a_split_names_dataset_split_and_key(tmp_path):
    own = dataset(tmp_path, simulation={"response": {"lifetme": 3}})
    with pytest.raises(WeftError, match=r"^dataset 'own', split 'train': simulation: unknown key 'response.lifetme'.+"):
        settings_of(own, "train")


def test_reading_settings_loads_no_compiler():
    """The workflow resolves them whenever Snakemake parses it."""
    code = "import sys, weft.simulation.settings; sys.exit('numba' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
