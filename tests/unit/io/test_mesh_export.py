"""Predictions of meshes go back into PLY, with all that the file had."""

import json
from dataclasses import replace

import numpy as np
import pytest
from mesh_files_made import FACES, LABELS, NAMES, ply_of, write_obj, write_textures, write_tile

from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.mesh_export import COLOURS, PlyOptions, export_meshes
from weft.io.mesh_options import MeshReading
from weft.io.mesh_products import face_labels, face_probabilities
from weft.io.ply import Element, read_ply, write_ply
from weft.io.products import EventId, Ragged
from weft.io.store import EventStore, StoreWriter

CLASSES = ("terrain", "high vegetation", "building")


def predicted(events, path, probabilities, classes=CLASSES, labels=None):
    """A store of predictions of the events; probabilities [M, C] of each."""
    with EventStore.open(events) as truth:
        schemas = [face_labels(classes), face_probabilities(classes)]
        with StoreWriter(path, schemas, parents={"truth": truth.content_hash}) as writer:
            for row, values in enumerate(probabilities):
                best = values.argmax(axis=1) if labels is None else labels
                made = {"face_labels": best.astype("i2"), "face_probabilities": values.astype("f4")}
                writer.append(EventId.of(truth.events[row]), made)
    return path


def softmax(faces, seed=0, classes=3):
    values = np.random.default_rng(seed).uniform(0.1, 1, (faces, classes))
    return values / values.sum(axis=1, keepdims=True)


def exported(tmp_path, source, values, options=None, **more):
    convert_file(source, tmp_path / "e.h5")
    predicted(tmp_path / "e.h5", tmp_path / "p.h5", [values], **more)
    (path,) = export_meshes(tmp_path / "e.h5", tmp_path / "p.h5", tmp_path / "out", options)
    return path, read_ply(path)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_everything_that_the_file_had_comes_back(tmp_path, form):
    write_textures(tmp_path)
    more = {
        "red": np.full(8, 9, "u1"),
        "face_segment_id": np.arange(8, dtype="i4") * 7,
        "quality": np.linspace(0, 1, 8, dtype="f4"),
    }
    ply = ply_of(**more)
    vertex = Element.of("vertex", dict(ply.elements["vertex"].columns) | {"nx": np.arange(6, dtype="f4") / 3})
    edge = Element.of("edge", {"vertex1": np.arange(2, dtype="i4")})
    ply = replace(ply, elements={"vertex": vertex, "face": ply.elements["face"], "edge": edge}, obj_info=("scanned",))
    tile = write_ply(tmp_path / "tile.ply", ply)
    values = softmax(8)
    path, out = exported(tmp_path, tile, values, PlyOptions(form))
    assert (path.name, out.form, list(out.elements)) == ("tile_predicted.ply", form, ["vertex", "face", "edge"])
    for name, element in ply.elements.items():
        renamed = {"label": "label_original", "red": "red_original"} if name == "face" else {}
        for column, before in element.columns.items():
            after = out.elements[name].columns[renamed.get(column, column)]
            if isinstance(before, Ragged):
                np.testing.assert_array_equal(after.offsets, before.offsets)
                before, after = before.values, after.values
            assert after.dtype == before.dtype
            np.testing.assert_array_equal(after, before)
    face = out.elements["face"].columns
    best = values.argmax(axis=1)
    assert face["label"].tolist() == (best + 1).tolist(), "as the files number the classes"
    np.testing.assert_array_equal(face["label_probabilities"], values.max(axis=1).astype("f4"))
    colours = np.stack([face[name] for name in ("red", "green", "blue")], axis=1)
    assert colours.tolist() == [list(COLOURS[CLASSES[k]]) for k in best]
    assert out.obj_info == ("scanned",)
    assert out.comments[: len(ply.comments)] == ply.comments
    (said,) = out.comments[len(ply.comments) :]
    assert json.loads(said.removeprefix("weft "))["mesh"] == "tile"


def test_what_was_exported_is_converted_again(tmp_path):
    write_tile(tmp_path / "a")
    values = softmax(8)
    path, _ = exported(tmp_path, tmp_path / "a", values)
    write_textures(path.parent)
    convert_file(path, tmp_path / "again.h5")
    with EventStore.open(tmp_path / "again.h5") as again, EventStore.open(tmp_path / "e.h5") as events:
        for name in ("vertices", "faces", "texture", "texcoords"):
            np.testing.assert_array_equal(again[name][0], events[name][0])
        np.testing.assert_array_equal(again["face_labels"][0][:, 0], values.argmax(axis=1))
    # With the prediction in its place, and the labels of the first file still beside.
    assert read_ply(path).elements["face"].columns["label_original"].tolist() == LABELS.tolist()


def test_a_mesh_that_was_predicted_before_keeps_its_labels_and_the_first_prediction(tmp_path):
    first, out = exported(tmp_path, write_tile(tmp_path), softmax(8), PlyOptions(probabilities=True))
    once = out.elements["face"].columns
    write_textures(first.parent)
    _, out = exported(tmp_path, first, softmax(8, seed=1), PlyOptions(probabilities=True))
    twice = out.elements["face"].columns
    assert twice["label_original"].tolist() == LABELS.tolist(), "the truth is still called so"
    new = {"label": "label_original_2"}
    new |= {name: f"{name}_original" for name in once if name.startswith(("red", "green", "blue", "probability_"))}
    new |= {"label_probabilities": "label_probabilities_original"}
    assert set(twice) == {*once, *new.values()}
    for name, before in once.items():
        after = twice[new.get(name, name)]
        before, after = (one.values if isinstance(one, Ragged) else one for one in (before, after))
        np.testing.assert_array_equal(after, before)
    assert twice["label"].tolist() == (softmax(8, seed=1).argmax(axis=1) + 1).tolist()


def test_what_is_called_label_but_is_not_asked_for_is_kept_too(tmp_path):
    tile = write_tile(tmp_path, label="kind", cls=np.arange(8, dtype="i4"), label_original=np.full(8, 5, "i4"))
    reading = MeshReading(label_property="kind")
    convert_file(tile, tmp_path / "e.h5", meshes=reading)
    predicted(tmp_path / "e.h5", tmp_path / "p.h5", [softmax(8)])
    (path,) = export_meshes(tmp_path / "e.h5", tmp_path / "p.h5", tmp_path / "out")
    face = read_ply(path).elements["face"].columns
    assert face["label_original_2"].tolist() == LABELS.tolist()
    assert set(face["label_original"].tolist()) == {5}
    assert face["cls"].tolist() == list(range(8))
    assert "kind" not in face


def test_all_probabilities_on_request(tmp_path):
    values = softmax(8)
    _, out = exported(tmp_path, write_tile(tmp_path), values, PlyOptions(probabilities=True))
    face = out.elements["face"].columns
    for k, name in enumerate(("terrain", "high_vegetation", "building")):
        np.testing.assert_array_equal(face[f"probability_{name}"], values[:, k].astype("f4"))


def test_a_label_of_another_name_becomes_label(tmp_path):
    _, out = exported(tmp_path, write_tile(tmp_path, label="cls"), softmax(8))
    face = out.elements["face"].columns
    assert "cls" not in face
    assert face["label_original"].tolist() == LABELS.tolist()


def test_faces_without_a_prediction_are_minus_one_and_black(tmp_path):
    _, out = exported(tmp_path, write_tile(tmp_path), softmax(8), labels=np.array([-1] * 8))
    face = out.elements["face"].columns
    assert set(face["label"].tolist()) == {-1}
    assert set(face["red"].tolist()) == {0}
    assert set(face["label_probabilities"].tolist()) == {0}


def test_classes_that_the_files_do_not_name_keep_their_numbers_and_get_a_name(tmp_path):
    source = write_tile(tmp_path, labels=None, textures=None)
    values = softmax(8)
    _, out = exported(tmp_path, source, values, classes=("a", "b", "c"))
    assert out.elements["face"].columns["label"].tolist() == values.argmax(axis=1).tolist()
    assert out.comments[:3] == ("label 0 a", "label 1 b", "label 2 c")
    colours = {tuple(int(out.elements["face"].columns[c][k]) for c in ("red", "green", "blue")) for k in range(8)}
    assert len(colours) == len(set(values.argmax(axis=1).tolist()))


def test_an_unlabelled_mesh_is_numbered_as_its_header_says(tmp_path):
    ply = ply_of(labels=None, textures=None)
    comments = tuple(f"label {number} {name}" for number, name in NAMES.items())
    tile = write_ply(tmp_path / "tile.ply", replace(ply, comments=comments))
    values = softmax(8)
    _, out = exported(tmp_path, tile, values)
    assert out.elements["face"].columns["label"].tolist() == (values.argmax(axis=1) + 1).tolist()


def test_classes_of_other_names_take_the_place_of_those_of_the_header(tmp_path):
    """Two names of one label would be refused when the file is read again."""
    comments = ("made by hand", *(f"label {number} {name}" for number, name in NAMES.items()))
    tile = write_ply(tmp_path / "tile.ply", replace(ply_of(labels=None, textures=None), comments=comments))
    path, out = exported(tmp_path, tile, softmax(8), classes=("ground", "tree", "house"))
    named = [line for line in out.comments if line.startswith("label")]
    assert {"label 0 ground", "label 1 tree", "label 2 house"} <= set(named)
    assert len({line.split()[1] for line in named}) == len(named)
    assert "made by hand" in out.comments
    convert_file(path, tmp_path / "again.h5")


def test_triangles_of_a_polygon_vote_by_their_area(tmp_path):
    # Fans of a polygon: the second triangle has three times the area of the first.
    vertices = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [-4, 1, 0.0]])
    ply = ply_of(labels=None, textures=None, faces=[[0, 1, 2, 3], [0, 1, 2]])
    columns = {axis: vertices[:, k].copy() for k, axis in enumerate("xyz")}
    ply = replace(ply, elements={**ply.elements, "vertex": Element.of("vertex", columns)})
    tile = write_ply(tmp_path / "tile.ply", ply)
    values = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0.3, 0.7]])
    _, out = exported(tmp_path, tile, values, PlyOptions(probabilities=True))
    face = out.elements["face"].columns
    assert [list(corners) for corners in face["vertex_indices"]] == [[0, 1, 2, 3], [0, 1, 2]]
    assert face["label"].tolist() == [1, 2]
    np.testing.assert_allclose(face["probability_terrain"], [(0.9 + 3 * 0.2) / 4, 0], rtol=1e-6)
    np.testing.assert_allclose(face["label_probabilities"], [(0.1 + 3 * 0.8) / 4, 0.7], rtol=1e-6)


def test_an_obj_becomes_a_ply_with_its_polygons_and_textures(tmp_path):
    path, out = exported(tmp_path, write_obj(tmp_path), softmax(5))
    assert path.name == "tile_predicted.ply"
    face = out.elements["face"].columns
    assert [list(corners) for corners in face["vertex_indices"]] == [[0, 1, 2], [0, 2, 3], [0, 1, 2, 3], [0, 1, 3]]
    assert [len(uv) for uv in face["texcoord"]] == [6, 0, 8, 6]
    assert list(face["texcoord"][2]) == [0, 0, 1, 0, 1, 1, 0, 1]
    assert face["texnumber"].tolist() == [0, -1, 0, 0]
    assert out.comments[0] == "TextureFile sub folder/red tiles.png"
    np.testing.assert_array_equal(out.elements["vertex"].columns["x"], [0, 1, 1, 0])


def test_meshes_that_have_changed_or_gone_are_named(tmp_path):
    tile = write_tile(tmp_path / "a")
    convert_file(tile, tmp_path / "e.h5")
    predicted(tmp_path / "e.h5", tmp_path / "p.h5", [softmax(8)])
    (tmp_path / "b").mkdir()
    tile.rename(tmp_path / "b/tile.ply")
    with pytest.raises(WeftError, match=r"tile\.ply: the mesh is not there any more"):
        export_meshes(tmp_path / "e.h5", tmp_path / "p.h5", tmp_path / "out")
    options = PlyOptions(folder=tmp_path / "b")
    assert len(export_meshes(tmp_path / "e.h5", tmp_path / "p.h5", tmp_path / "out", options)) == 1
    write_ply(tmp_path / "b/tile.ply", ply_of(faces=FACES[::-1].tolist()))
    with pytest.raises(WeftError, match="has changed since"):
        export_meshes(tmp_path / "e.h5", tmp_path / "p.h5", tmp_path / "out", options)


def test_stores_of_something_else_are_refused(tmp_path):
    convert_file(write_tile(tmp_path), tmp_path / "e.h5")
    with (
        EventStore.open(tmp_path / "e.h5") as truth,
        StoreWriter(tmp_path / "p.h5", [face_probabilities(CLASSES)], parents={"truth": truth.content_hash}) as writer,
    ):
        writer.append(EventId.of(truth.events[0]), {"face_probabilities": softmax(8).astype("f4")})
    with pytest.raises(WeftError, match="no prediction of converted meshes"):
        export_meshes(tmp_path / "e.h5", tmp_path / "p.h5", tmp_path / "out")
