from pathlib import Path

import pytest

from weft.errors import WeftError
from weft.simulation.settings import SimulationSettings


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


def keys(model, path=""):
    """Dotted name, field and default value of every setting."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if hasattr(value, "model_fields_set"):
            yield from keys(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", field, value


def test_values_go_over_the_defaults_key_by_key():
    settings = SimulationSettings.parse({"rain": {"vertices": (1, 9)}, "box": {"voxels": 768}})
    assert settings.rain.vertices == (1, 9)
    assert settings.rain.blocks == SimulationSettings().rain.blocks
    assert settings.box.voxel_size == 0.3
    only = [{"species": ["proton"]}]
    assert len(SimulationSettings.parse({"rain": {"blocks": only}}).rain.blocks) == 1


def test_every_key_is_described_in_code_and_documentation():
    page = (Path(__file__).parents[3] / "docs/simulation.md").read_text()
    for name, field, value in keys(SimulationSettings()):
        described = field.description or any(getattr(m, "description", None) for m in field.metadata)
        assert described, name
        shown = "see the file" if name.endswith(".blocks") else value
        assert f"| `{name}` | {shown} |" in page
