import numpy as np
import pytest
from label_events import ROOT, particle, table

from weft.config.loading import ConfigError, read_mapping, validate
from weft.errors import WeftError
from weft.triplets.label_options import LabelOptions
from weft.triplets.semantic_schema import LABELS, PARTICLES, SemanticSchema, load_schema

FILES = sorted((ROOT / LABELS).glob("*.yaml"))
CODES = {0: "primary", 9: "Decay"}


def schema(**changes):
    document = {
        "name": "mine", "classes": ["a", "b"],
        "rules": [{"label": "a", "pdg": [13]}, {"label": "b", "shape": ["track"]}]
    }  # fmt: skip
    return validate(SemanticSchema, document | changes, "mine.yaml")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_files(file):
    assert load_schema(file).name == file.stem
    options = LabelOptions(classes=str(file))
    assert options.classes == load_schema(file)
    assert LabelOptions.model_validate_json(options.model_dump_json()) == options


def test_the_default_is_that_of_the_file():
    assert LabelOptions().classes == PARTICLES == load_schema(ROOT / LABELS / "particles.yaml")
    assert PARTICLES.classes == ("electron", "photon", "muon", "pion", "proton")


def test_classes_of_particles():
    # a muon (0), its delta ray in a group of its own (1), a photon's shower (2) with an electron's fragment (3), a
    # neutron (4), antiparticles (5, 6), and a fragment whose leader is not known (7)
    rows = table(
        particle(pdg=13, group_id=0), particle(pdg=11, group_id=1), particle(pdg=22, group_id=2),
        particle(pdg=-11, group_id=2), particle(pdg=2112, group_id=4), particle(pdg=-211, group_id=5),
        particle(pdg=-13, group_id=6), particle(pdg=2212, group_id=-1),
    )  # fmt: skip
    assert PARTICLES.classify(rows).tolist() == [2, 0, 1, 1, -1, 3, 2, 4]
    own = PARTICLES.model_copy(update={"of": "particle"})
    assert own.classify(rows).tolist() == [2, 0, 1, 0, -1, 3, 2, 4]
    assert PARTICLES.classify(table()).dtype == np.int8


def test_the_five_shapes():
    topology = load_schema(ROOT / LABELS / "topology.yaml")
    rows = table(*(particle(shape=shape, group_id=0) for shape in (1, 0, 2, 3, 4, 5, -1)))
    assert topology.classify(rows).tolist() == [1, 0, 2, 3, 4, -1, -1]


def test_the_first_rule_that_fits_and_all_it_says():
    rules = [
        {"label": "b", "pdg": [11], "process": ["Decay"]},
        {"label": "a", "pdg": [11, 22], "shape": ["shower", "michel"]},
    ]
    found = schema(of="particle", rules=rules)
    rows = table(
        particle(pdg=11, process=9, shape=2), particle(pdg=11, process=0, shape=2),
        particle(pdg=22, process=9, shape=0),
        particle(pdg=22, process=9, shape=1), particle(pdg=13, process=9, shape=2),
    )  # fmt: skip
    assert found.classify(rows, CODES).tolist() == [1, 0, 0, -1, -1]
    with pytest.raises(WeftError, match="labels 'mine': creation processes are asked for"):
        found.classify(rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["a", "b", "a"]}, "class 'a' is there twice"),
        ({"classes": ["a", "b", "c"]}, "no rule leads to the class 'c'"),
        ({"classes": []}, "classes"),
        (
            {"rules": [{"label": "a", "pdg": [1]}, {"label": "bb", "pdg": [1]}]},
            r"names 'bb' \(did you mean 'b'\?\), which is no class",
        ),
        ({"rules": [{"label": "a"}]}, "the rule of 'a' has no condition"),
        ({"rules": [{"label": "a", "shape": ["trak"]}]}, r"unknown shape 'trak' \(did you mean 'track'\?\); known: sh"),
        ({"rules": [{"label": "a", "shape": ["ghost"]}]}, "unknown shape 'ghost'"),
        ({"rules": [{"label": "a", "pdg": [-11]}]}, "greater than or equal to 1"),
        ({"rules": [{"label": "a", "pdg": []}]}, "at least 1"),
        ({"of": "group"}, "'particle' or 'leader'"),
        ({"colour": 1}, "unknown key 'colour'"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        schema(**changes)
    assert str(error.value).startswith("mine.yaml: ")


def test_unknown_names_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert LabelOptions(classes="topology").classes.classes[0] == "shower"
    with pytest.raises(ConfigError, match=r"unknown schema of labels 'particle' \(did you mean 'particles'"):
        LabelOptions(classes="particle")
    copy = tmp_path / "other.yaml"
    copy.write_text((ROOT / LABELS / "particles.yaml").read_text().replace("label: muon", "label: moun"))
    with pytest.raises(ConfigError, match=r"other\.yaml.*'moun'.*'muon'"):
        LabelOptions(classes=str(copy))
    assert read_mapping(copy)["name"] == "particles"
