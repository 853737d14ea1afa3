import pytest

from weft.errors import WeftError
from weft.simulation.errors import SimulationError
from weft.simulation.settings import SimulationSettings


def test_defaults_and_one_line_overrides():
    assert SimulationSettings.parse({}) == SimulationSettings()
    assert SimulationSettings.parse({"response": {"recombination": "birks"}}).response.recombination == "birks"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"respons": {}}, "respons"),
        ({"response": {"lifetime_ms": 3}}, "response.lifetime_ms"),
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
    with pytest.raises(SimulationError, match=r"^simulation settings: [^\n]+$") as caught:
        SimulationSettings.parse(values)
    assert expected in str(caught.value)
    assert isinstance(caught.value, WeftError)


def test_every_key_is_described():
    def fields(model, path=""):
        for name, field in model.model_fields.items():
            inner = getattr(field.annotation, "model_fields", None)
            if inner:
                yield from fields(field.annotation, f"{path}{name}.")
            else:
                yield f"{path}{name}", field

    undescribed = [name for name, field in fields(SimulationSettings) if not field.description and not field.metadata]
    assert undescribed == []
