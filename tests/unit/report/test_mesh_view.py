"""The viewer of a mesh: what its page holds, and `weft show` of stores of meshes."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.mesh_products import FACE_PIXELS, FACES, ORIGIN, VERTICES, face_labels
from weft.io.products import EventId, Ragged
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.report.mesh_colours import class_colours
from weft.report.mesh_view import mean_colours
from weft.report.mesh_viewer import FaceLayer, mesh_viewer, middle_faces
from weft.report.show import show_event

CLASSES = ("terrain", "building", "car")
VERTEX = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 1], [9, 9, 9.0]]) + np.array([7000, 4000, 10])
FACE = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 3]], np.int32)
TRUTH = np.array([0, 1, -1], np.int16)


def decoded(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15), dtype)


def payload(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def classes():
    return {-1: ("no class", "#999999")} | class_colours(CLASSES)


def test_a_page_holds_the_mesh_and_its_layers():
    rgb = np.arange(9, dtype=np.uint8).reshape(3, 3)
    layers = [FaceLayer("truth", TRUTH, classes()), FaceLayer("texture", rgb)]
    data = payload(mesh_viewer("m", "A mesh", "", VERTEX, FACE, layers).html)
    corners = decoded(data["faces"], "<u2").reshape(-1, 3)
    grid = decoded(data["vertices"], "<u2").reshape(-1, 3)
    assert len(grid) == 4, "a vertex without a face is not on the page"
    points = grid / 65535 * data["extent"] + VERTEX[:4].min(axis=0)
    np.testing.assert_allclose(points[corners], VERTEX[FACE], atol=1e-3)
    truth, texture = data["layers"]
    np.testing.assert_array_equal(decoded(truth["labels"], "i1"), TRUTH)
    named = {entry["id"]: entry["name"] for entry in truth["classes"]}
    assert named == {-1: "no class", 0: "terrain", 1: "building", 2: "car"}
    np.testing.assert_array_equal(decoded(texture["colours"], "u1").reshape(3, 3), rgb)


def test_of_a_large_mesh_the_middle_is_shown(monkeypatch):
    n = 20
    y, x = np.divmod(np.arange(n * n), n)
    base = np.column_stack([x, y, np.zeros(n * n)]).astype(float)
    vertices = np.concatenate([base, base + np.array([0.5, 0, 0]), base + np.array([0, 0.5, 0])])
    faces = np.arange(3 * n * n).reshape(3, -1).T
    kept = middle_faces(vertices, faces, 100)
    assert len(kept) == 100
    assert x[kept].min() == y[kept].min() == 5
    assert x[kept].max() == y[kept].max() == 14
    assert middle_faces(vertices, faces, n * n).tolist() == list(range(n * n))
    monkeypatch.setattr("weft.report.mesh_viewer.MOST_FACES", 100)
    labels = np.arange(n * n) % 3
    figure = mesh_viewer("m", "A mesh", "A tile.", vertices, faces, [FaceLayer("truth", labels, classes())])
    assert "Of the 400 faces the 100 nearest the middle are shown" in figure.caption
    np.testing.assert_array_equal(decoded(payload(figure.html)["layers"][0]["labels"], "i1"), labels[kept])


def test_layers_that_do_not_fit_are_named():
    with pytest.raises(WeftError, match=r"truth has shape \(2,\), expected \(3,\)"):
        mesh_viewer("m", "", "", VERTEX, FACE, [FaceLayer("truth", TRUTH[:2], classes())])
    with pytest.raises(WeftError, match="truth has the value 7"):
        mesh_viewer("m", "", "", VERTEX, FACE, [FaceLayer("truth", np.array([0, 7, 1]), classes())])
    with pytest.raises(WeftError, match="no layer"):
        mesh_viewer("m", "", "", VERTEX, FACE, [])


def test_the_colour_of_a_face_is_the_mean_of_its_pixels():
    values = np.zeros(3, FACE_PIXELS.dtype)
    values["r"], values["b"] = [10, 30, 99], [0, 100, 7]
    found = mean_colours(Ragged(values, np.array([0, 2, 2, 3])))
    assert found[0].tolist() == [20, 0, 50]
    assert found[2].tolist() == [99, 0, 7]
    assert len(set(found[1].tolist())) > 1 or found[1].max() > 0, "a grey where there is no texture"


def written(path, labels=None, truth=None, classes=CLASSES, pixels=None):
    """A store of one mesh, or of what was predicted of the one of another."""
    parents = {}
    if truth is not None:
        with EventStore.open(truth) as store:
            parents = {"truth": store.content_hash}
    schemas = [] if truth is not None else [VERTICES, FACES, ORIGIN]
    schemas += [face_labels(classes)] if labels is not None else []
    schemas += [FACE_PIXELS] if pixels is not None else []
    with StoreWriter(path, schemas, provenance={}, parents=parents) as writer:
        made = {} if labels is None else {"face_labels": labels[:, None]}
        if pixels is not None:
            values = np.zeros(sum(pixels), FACE_PIXELS.dtype)
            made |= {"face_pixels": Ragged(values, np.cumsum([0, *pixels]))}
        if truth is None:
            (code,) = writer.encode("origin", "mesh", ["Tile_+1984_+2692"])
            made |= {"vertices": VERTEX, "faces": FACE, "origin": np.array([(code,)], ORIGIN.dtype)}
        writer.append(EventId(0, 0, 4, 9), made)
    return path


def test_show_of_a_mesh_and_its_prediction(tmp_path):
    truth = written(tmp_path / "truth.h5", TRUTH)
    predicted = written(tmp_path / "predicted.h5", np.array([0, 2, 2], np.int16), truth)
    page = tmp_path / "mesh.html"
    show_event({"truth": truth, "prediction": predicted}, 0, page)
    data = payload(page.read_text())
    assert [layer["name"] for layer in data["layers"]] == ["truth", "prediction", "errors"]
    assert decoded(data["layers"][2]["labels"], "i1").tolist() == [0, 1, -1]
    assert {entry["name"] for entry in data["layers"][0]["classes"]} == {"no class", *CLASSES}
    assert "Mesh 0/0/4, Tile_+1984_+2692." in page.read_text()


def test_sides_that_name_classes_otherwise_are_not_compared(tmp_path):
    truth = written(tmp_path / "t.h5", TRUTH)
    predicted = written(tmp_path / "p.h5", TRUTH, truth, classes=("water", "boat", "car"))
    with pytest.raises(WeftError, match=r"p\.h5: face_labels has the classes water, boat, car; others have terrain, b"):
        show_event({"truth": truth, "prediction": predicted}, 0, tmp_path / "mesh.html")


def test_show_of_a_mesh_without_labels(tmp_path):
    show_event({"truth": written(tmp_path / "truth.h5")}, 0, tmp_path / "mesh.html")
    data = payload((tmp_path / "mesh.html").read_text())
    assert [layer["name"] for layer in data["layers"]] == ["surface"]


@pytest.mark.parametrize(("pixels", "layers"), [((0, 2, 0), ["truth", "texture"]), ((0, 0, 0), ["truth"])])
def test_a_texture_is_shown_where_a_face_has_one(tmp_path, pixels, layers):
    show_event({"truth": written(tmp_path / "truth.h5", TRUTH, pixels=pixels)}, 0, tmp_path / "mesh.html")
    assert [layer["name"] for layer in payload((tmp_path / "mesh.html").read_text())["layers"]] == layers


def test_every_class_has_a_colour_of_its_own():
    names = ("terrain", "high_vegetation", "Building", "water", "car", "boat", "fence", "shrub")
    found = class_colours(names)
    assert [name for name, _ in found.values()] == list(names)
    assert len({colour for _, colour in found.values()}) == len(names)
    assert found[1][1] == class_colours(("high vegetation",))[0][1]
