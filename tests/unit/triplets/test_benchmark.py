from pathlib import Path

import numpy as np
from command_line import weft

from weft.config.detector import load_detector
from weft.triplets.benchmark import measure, page, random_event
from weft.triplets.build import build_triplets
from weft.triplets.options import TripletOptions

TOY = load_detector(Path(__file__).resolve().parents[3] / "config/detectors/toy.yaml")
TWO = load_detector(Path(__file__).resolve().parents[3] / "config/detectors/two_sided.yaml")


def test_events_are_points():
    pixels, dead = random_event(TOY, 4, 30, 0.0, 1)
    assert not any(mask.any() for mask in dead[0])
    assert set(pixels["row"].tolist()) == set(range(30))
    for p in range(3):
        assert 100 < (pixels["plane"] == p).sum() <= 120
    event = build_triplets(TOY, pixels, dead, TripletOptions())
    used = np.unique(np.concatenate([event.triplets[f"pixel_{p}"] for p in range(3)]))
    assert len(used) == len(event.pixels), "every pixel is of a point"

    pixels, dead = random_event(TOY, 4, 30, 0.3, 1)
    for p in range(3):
        assert 0.2 < dead[0][p].mean() < 0.4
        assert not dead[0][p][pixels["wire"][pixels["plane"] == p]].any()


def test_more_pixels_make_more_triplets_of_each():
    seen = []
    timings = measure(TOY, (2, 8, 32), rounds=1, done=seen.append)
    assert timings == seen
    assert [t.occupancy for t in timings] == [2, 8, 32]
    each = [t.triplets / t.pixels for t in timings]
    assert each[0] < each[1] < each[2]
    assert all(np.isclose(t.rate * t.seconds, t.triplets) for t in timings)
    text = page(TOY, timings, 0.1, "weft bench triplets", "today")
    assert f"| 32 | {timings[2].pixels:,} | {timings[2].triplets:,} |" in text
    assert measure(TWO, (3,), rounds=1)[0].triplets > 0, "volumes beside the first are empty"


def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("weft.triplets.benchmark.measure.__defaults__", ((2, 4), 0.1, 1, None))
    path = tmp_path / "a" / "toy.md"
    detector = Path(__file__).resolve().parents[3] / "config/detectors/toy.yaml"
    assert weft("bench", "triplets", "--detector", detector, "--rounds", 1, "--dead", 0.2, "-o", path) == 0
    text = path.read_text()
    assert text in capsys.readouterr().out
    assert "20% of the wires dead" in text
    assert "| 4 | " in text
    assert "| 400 | " not in text
    assert path.with_suffix(".svg").read_text().count("<svg") == 1
