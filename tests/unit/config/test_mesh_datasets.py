"""Datasets of meshes: which label is which class travels to the conversion."""

import pytest

from weft.config import load_dataset
from weft.config.dataset import dataset_from
from weft.config.loading import ConfigError
from weft.config.mesh_files import MeshFileOptions
from weft.io.mesh_options import MeshReading


def test_the_dataset_of_files_reads_labels_as_sum_numbers_them():
    dataset = load_dataset("mesh_files")
    reading = dataset.meshes.reading()
    assert reading.label_map == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5}
    assert reading.classes[4] == "car"
    assert reading._replace(label_map=None, classes=()) == MeshReading(), "nothing else is said"


def test_options_survive_the_parameters_of_a_rule():
    dataset = load_dataset("mesh_files", overrides=("meshes.ground=plane", "meshes.max_pixels=8"))
    back = dataset_from(dataset.model_dump(mode="json"))
    assert back == dataset
    assert back.meshes.reading() == dataset.meshes.reading()
    assert (back.meshes.reading().ground, back.meshes.reading().max_pixels) == ("plane", 8)


def test_datasets_that_say_nothing_of_meshes_are_as_before():
    for name, scale in (("stack_files", None), ("lartpc", "tiny"), ("stacks", "tiny"), ("towns", "tiny")):
        assert "meshes" not in load_dataset(name, scale).model_dump()


def test_simulated_towns_can_be_converted_otherwise():
    dataset = load_dataset("towns", "tiny", ("meshes.ground=plane",))
    assert dataset.meshes.reading().ground == "plane"
    with pytest.raises(ConfigError, match="meshes: a dataset of stacks has none"):
        load_dataset("stacks", "tiny", ("meshes.ground=plane",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("meshes.label_map={1: 0, 2: 2}", "no label becomes class 1"),
        ("meshes.label_map={1: -1}", "classes are 0 and above"),
        ("meshes.classes=[a]", "6 classes, but classes names 1"),
        ("meshes.ground=hill", "ground"),
        ("meshes.grund=local", "did you mean 'ground'"),
        ("meshes.max_pixels=0", "max_pixels"),
    ],
)
def test_settings_that_make_no_sense(given, said):
    with pytest.raises(ConfigError, match=said):
        load_dataset("mesh_files", overrides=(given,))


def test_the_defaults_are_those_of_a_conversion_that_is_told_nothing():
    assert MeshFileOptions().reading() == MeshReading()
