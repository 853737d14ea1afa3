import pickle

import numpy as np
import pytest

from weft.config import ConfigError
from weft.simulation.settings import SimulationSettings
from weft.simulation.wire_settings import Wires


def parse(**values):
    return SimulationSettings.parse({"wires": {"detector": "toy"} | values})


def test_settings_hold_the_whole_detector():
    settings = parse(threshold=5)
    stored = settings.model_dump(mode="json")
    assert stored["wires"]["detector"]["tpcs"][0]["planes"][1]["name"] == "V"
    again = SimulationSettings.model_validate(stored)
    assert again == settings
    assert again.wires.built == settings.wires.built
    assert again.wires.built.tpcs[0].planes[0].wires == 351


def test_settings_are_compared_and_sent_to_processes_once_used():
    settings = parse()
    assert len(settings.wires.dead_wires) == 3
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings == parse()
    assert again != parse(dead_map=2)
    assert all(np.array_equal(a, b) for a, b in zip(again.wires.dead_wires, settings.wires.dead_wires, strict=True))


def test_settings_without_wires_are_what_they_were():
    assert "wires" not in SimulationSettings().model_dump(mode="json")
    assert SimulationSettings().wires is None
    assert SimulationSettings.parse({"wires": None}) == SimulationSettings()


def test_the_box_lies_at_the_centre_of_the_detector_or_where_it_is_put():
    assert parse().wires.shift.tolist() == [0, 0, 0]
    assert parse(centre=[1, 2, 3]).wires.shift.tolist() == [1, 2, 3]
    assert np.allclose(Wires.model_validate({"detector": "two_sided"}).shift, [0, 0, 50])
    assert np.allclose(Wires.model_validate({"detector": "microboone"}).shift, [128.175, 1.0, 518.48])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"detector": "tou"}, "unknown detector 'tou'.*toy"),
        ({"detector": {"name": "x"}}, "wires.detector"),
        ({"treshold": 5}, "unknown key 'wires.treshold'.*threshold"),
        ({"dead": [0.1, 0.1]}, "wires.dead"),
        ({"dead": [0.1, 0.1, 1.1]}, "wires.dead.2"),
        ({"noise": [-1, 0, 0]}, "wires.noise.0"),
        ({"cloud": 0}, "wires.cloud"),
    ],
)
def test_mistakes_are_one_line(values, text):
    with pytest.raises(ConfigError, match=text) as caught:
        parse(**values)
    assert "\n" not in str(caught.value)
