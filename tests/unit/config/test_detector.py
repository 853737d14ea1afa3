from pathlib import Path

import numpy as np
import pytest

from weft.config.dataset import FileDataset
from weft.config.detector import DETECTORS, detector_of, load_detector, read_detector
from weft.config.loading import ConfigError
from weft.detector.wires import GapRule

ROOT = Path(__file__).resolve().parents[3]
FILES = {file.stem: file for file in sorted((ROOT / DETECTORS).glob("*.yaml"))}


def microboone_wire_ends(plane, wire):
    """(y, z) of both ends of each wire, from the closed form of the OpenSamples (specs/larmatch.md §1.3)."""
    if plane == 0:
        start = np.maximum(117.153 - 0.34641 * wire, -115.505), np.maximum(-402.941 + 0.6 * wire, 0.0352608)
        end = np.minimum(715.8006 - 0.34640 * wire, 117.445), np.minimum(0.541 + 0.6 * wire, 1036.96)
    elif plane == 1:
        start = np.minimum(-115.213 + 0.34641 * wire, 117.445), np.maximum(-402.941 + 0.6 * wire, 0.0352608)
        end = np.maximum(-713.8606 + 0.34640 * wire, -115.505), np.minimum(0.541 + 0.6 * wire, 1036.96)
    else:
        start = np.full(len(wire), -115.53), 0.25 + 0.3 * wire
        end = np.full(len(wire), 117.47), 0.25 + 0.3 * wire
    return start, end


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_microboone_wires_are_where_their_ends_are(plane):
    (tpc,) = load_detector(FILES["microboone"]).tpcs
    wire = np.arange(tpc.planes[plane].wires)
    for y, z in microboone_wire_ends(plane, wire):
        assert np.abs(tpc.planes[plane].coordinate(y, z) - wire).max() < 0.05


def test_microboone_closure():
    (tpc,) = load_detector(FILES["microboone"]).tpcs
    position = np.random.default_rng(0).uniform(tpc.lower, tpc.upper, (200_000, 3))
    wires = tpc.wires(position)
    u, v, y = wires[(wires >= 0).all(1)].T
    assert len(u) > 199_000
    values, counts = np.unique(y - u - v, return_counts=True)
    assert values.tolist() == [-672, -671]
    assert np.abs(counts / len(u) - 0.5).max() < 0.01
    assert np.isclose(tpc.closure.offset, -671.5)
    assert np.isclose(tpc.closure.reach, 1.5)


def test_microboone_times():
    (tpc,) = load_detector(FILES["microboone"]).tpcs
    assert np.isclose(tpc.readout.row_length, 0.3294, atol=1e-4)
    assert np.isclose(tpc.x(2400.0), -43.9, atol=0.05)
    assert np.isclose(tpc.x(2400.0 + 6048), 288.1, atol=0.1)
    assert tpc.rows(np.array([0.0, 256.35])).tolist() == [133, 911]


@pytest.mark.parametrize("name", FILES)
def test_each_detector_sees_its_box(name):
    detector = load_detector(FILES[name])
    assert detector.name == name
    for number, tpc in enumerate(detector.tpcs):
        position = np.random.default_rng(1).uniform(tpc.lower, tpc.upper, (20_000, 3))
        assert (detector.tpc_of(position) == number).all()
        assert (tpc.wires(position) >= 0).all(1).mean() > 0.999
        assert (tpc.rows(position[:, 0]) >= 0).all()
        assert (tpc.drift * (position[:, 0] - tpc.anode) >= 0).all()


def test_the_three_differ():
    assert sorted(FILES) == ["microboone", "toy", "two_sided"]
    two = load_detector(FILES["two_sided"])
    assert len(two.tpcs) == 2
    assert [tpc.drift for tpc in two.tpcs] == [1, -1]
    assert abs(two.tpcs[0].closure.slope0 - 1) > 0.2, "wires of other angles"
    assert load_detector(FILES["microboone"]).gaps == GapRule(10.0, 100)
    assert two.gaps == GapRule(10.0, 0)


def test_by_name(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert load_detector("toy") == load_detector(FILES["toy"])
    with pytest.raises(ConfigError, match=r"unknown detector 'microbone' \(did you mean 'microboone'\?\)"):
        load_detector("microbone")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pitch: 0.3, offset: 175, wires: 351}", "pich: 0.3, offset: 175, wires: 351}", "did you mean 'pitch'"),
        ("angle: -60", "angle: 60", r"tpcs\.0: wires of planes U and V are parallel"),
        ("upper: [38.4,", "upper: [-38.4,", r"tpcs\.0: the active box .* has no volume"),
        ("drift: 1", "drift: 2", r"tpcs\.0\.drift: "),
        ("gaps: {longest: 0}", "gaps: {longest: -1}", r"gaps\.longest: "),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, message):
    text = FILES["toy"].read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "toy.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_detector(path)


def test_a_detector_as_plain_data_is_the_same():
    """A rule has the options of a dataset's detector, not its name: a change of them makes the files anew."""
    _, options = read_detector(ROOT / "config/detectors/microboone.yaml")
    assert detector_of(options.model_dump(mode="json")) == load_detector(ROOT / "config/detectors/microboone.yaml")
    assert detector_of(None) is None
    document = {"name": "d", "source": "files", "splits": {"train": {"files": ["a.root"]}}}
    named = FileDataset.model_validate(document | {"detector": str(ROOT / "config/detectors/microboone.yaml")})
    assert named.detector == options
    assert FileDataset.model_validate(document).detector is None
