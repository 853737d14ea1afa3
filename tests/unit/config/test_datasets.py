"""The datasets in config/datasets say what the documents say of them."""

import pytest

from weft.config import SimulatedDataset, load_dataset
from weft.simulation.settings import SimulationSettings

DEFAULT = SimulationSettings().response

# The shifted detectors of the LArTPC studies, as multiples of the default.
FACTORS = {
    "test_lifetime_low": {"lifetime": 0.7},
    "test_lifetime_high": {"lifetime": 1.3},
    "test_noise": {"noise": 1.5},
    "test_noise_triple": {"noise": 3},
    "test_diffusion": {"diffusion_longitudinal": 1.5, "diffusion_transverse": 1.5},
}


def _changed(split: str) -> dict[str, object]:
    dataset = load_dataset("lartpc", "tiny")
    assert isinstance(dataset, SimulatedDataset)
    settings = SimulationSettings.parse(dataset.split(split).simulation)
    assert settings.model_copy(update={"response": DEFAULT}) == SimulationSettings()
    default = DEFAULT.model_dump()
    return {key: value for key, value in settings.response.model_dump().items() if value != default[key]}


@pytest.mark.parametrize("split", FACTORS)
def test_shifted_detectors_are_the_multiples_that_the_studies_state(split):
    expected = {key: pytest.approx(factor * getattr(DEFAULT, key)) for key, factor in FACTORS[split].items()}
    assert _changed(split) == expected


def test_the_other_shifts_are_another_recombination_and_another_map_of_dead_channels():
    assert _changed("test_birks") == {"recombination": "birks"}
    assert set(_changed("test_dead")) == {"dead_map"}
    for split in ("train", "val", "test"):
        assert _changed(split) == {}


def test_every_shifted_split_is_covered_here_and_holds_the_test_events():
    dataset = load_dataset("lartpc", "tiny")
    assert isinstance(dataset, SimulatedDataset)
    shifted = [name for name in dataset.splits if name.startswith("test_")]
    assert set(shifted) == {*FACTORS, "test_birks", "test_dead"}
    for name in shifted:
        assert dataset.split(name).seed == dataset.split("test").seed
        assert dataset.split(name).events == dataset.split("test").events
