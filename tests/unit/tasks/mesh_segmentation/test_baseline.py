"""The trees on faces: what their features are, what does not change them, and what they find."""

import numpy as np
import pytest
from made_meshes import CLASSES, plain

from weft.errors import WeftError
from weft.io.mesh_products import FACE_PIXELS
from weft.io.products import Ragged
from weft.tasks import build
from weft.tasks.mesh_segmentation.baseline import MeshBaseline
from weft.tasks.mesh_segmentation.baseline_options import BaselineOptions
from weft.tasks.mesh_segmentation.face_statistics import face_statistics, names

SMALL = BaselineOptions(iterations=20, leaves=8, min_leaf=5)


def pixels(*colours):
    """Pixels of faces, one list of (r, g, b) each."""
    values = np.zeros(sum(map(len, colours)), FACE_PIXELS.dtype)
    rows = [row for face in colours for row in face]
    for k, name in enumerate("rgb"):
        values[name] = [row[k] for row in rows]
    return Ragged(values, np.cumsum([0, *map(len, colours)]).astype(np.int64))


def two_faces():
    """A right triangle of legs 3 and 4 m that lies flat at 2 m, and one that stands upright; the lowest is at 0."""
    vertices = np.array([[0, 0, 2], [3, 0, 2], [0, 4, 2], [0, 0, 0], [3, 0, 0], [0, 0, 3.0]])
    return {
        "vertices": vertices + np.array([7000.0, 4000, 20]),
        "faces": np.array([[0, 1, 2], [3, 4, 5]]),
        "face_surface": np.array([[2, 0.1], [1, 0.4]], np.float32),
        "face_pixels": pixels([(255, 0, 0), (255, 255, 255)], []),
    }


def columns(event, surface=True, colours=True, radii=()):
    return dict(zip(names(surface, colours, radii), face_statistics(event, surface, colours, radii).T, strict=True))


def test_features_by_hand():
    found = columns(two_faces())
    np.testing.assert_allclose(found["normal_z"], [1, 0], atol=1e-6)
    np.testing.assert_allclose(found["slope"], [0, np.pi / 2], atol=1e-6)
    np.testing.assert_allclose(found["log_area"], np.log1p([6, 4.5]), rtol=1e-5)
    np.testing.assert_allclose(found["largest_angle"], [np.pi / 2] * 2, rtol=1e-5)
    np.testing.assert_allclose(found["smallest_angle"], [np.arctan(3 / 4), np.pi / 4], rtol=1e-5)
    np.testing.assert_allclose(found["longest_edge"], [5, np.sqrt(18)], rtol=1e-5)
    np.testing.assert_allclose(found["above_lowest"], [1, 0], atol=1e-5)
    np.testing.assert_allclose(found["height"], [2, 1])
    np.testing.assert_allclose(found["roughness"], [0.1, 0.4])


def test_colours_by_hand():
    found = columns(two_faces())
    expected = {
        "red": 1,
        "green": 0.5,
        "spread_red": 0,
        "spread_green": 0.5,
        "saturation": 0.5,
        "value": 1,
        "hue_x": 0.5,
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, abs=1e-6), name
        assert np.isnan(found[name][1]), "a face without a texture has no colour"
    assert found["greenness"][0] == pytest.approx(-0.5)
    assert found["log_pixels"][0] == pytest.approx(np.log(3))


def test_what_is_not_read_is_no_column():
    event = two_faces()
    assert face_statistics({k: event[k] for k in ("vertices", "faces")}, False, False).shape == (
        2,
        len(names(False, False)),
    )
    assert not any("red" in name for name in names(True, False, (1.0,)))
    assert "height" not in names(False, True)


def test_surroundings_by_hand():
    """Faces in a row: three within a metre of the middle one, which lies along a line."""
    base = np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.2, 0.0]])
    vertices = np.concatenate([base + np.array([0.9 * k, 0, 0]) for k in range(5)])
    colours = [[(50 * k, 0, 0)] for k in range(4)]
    event = {"vertices": vertices, "faces": np.arange(15).reshape(5, 3), "face_pixels": pixels(*colours, [])}
    found = columns(event, False, True, (1.0,))
    np.testing.assert_allclose(found["faces_within_1"], np.log1p([2, 3, 3, 3, 2]), rtol=1e-6)
    np.testing.assert_allclose(found["linearity_within_1"], 1, atol=1e-5)
    np.testing.assert_allclose(found["up_within_1"], 1, atol=1e-6)
    np.testing.assert_allclose(found["red_within_1"] * 255, [25, 50, 100, 125, 150], rtol=1e-5)
    assert found["height_spread_within_1"].max() < 1e-6


def test_neither_place_nor_direction_on_the_map_matters():
    event = plain(size=6, seed=3)
    turn = np.deg2rad(30)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    moved = event | {"vertices": event["vertices"] @ matrix.T + [1000, -500, 30]}
    radii = (3.0,)
    np.testing.assert_allclose(
        face_statistics(event, True, True, radii), face_statistics(moved, True, True, radii), rtol=1e-3, atol=1e-3
    )


def test_trees_learn_and_say_how_sure_they_are():
    events = [plain(seed=k, size=8) for k in range(4)]
    baseline = MeshBaseline(SMALL, CLASSES, True, True)
    baseline.fit(events[:3], seed=0)
    made = baseline.predict(events[3])  # type: ignore[arg-type]
    truth = events[3]["truth/face_labels"][:, 0]
    right = made["face_labels"][:, 0] == truth
    assert right[truth >= 0].mean() > 0.95
    assert made["face_labels"].dtype == np.int16
    np.testing.assert_allclose(made["face_probabilities"].sum(axis=1), 1, atol=1e-5)
    assert baseline.fitted_on["meshes"] == 3


def test_the_file_gives_the_same_answers(tmp_path):
    events = [plain(seed=k, size=6) for k in range(2)]
    baseline = MeshBaseline(SMALL.model_copy(update={"radii": (4.0,)}), CLASSES, True, True)
    baseline.fit(events, seed=0)
    baseline.save(tmp_path / "trees")
    again = MeshBaseline.load(tmp_path / "trees")
    assert (again.options, again.classes, again.fitted_on) == (baseline.options, CLASSES, baseline.fitted_on)
    for name, values in baseline.predict(events[0]).items():  # type: ignore[arg-type]
        np.testing.assert_array_equal(values, again.predict(events[0])[name])  # type: ignore[arg-type]


def test_it_sees_what_its_stage_sees():
    classes = {"classes": list(CLASSES)}
    plain_stage = build("mesh_segmentation", {"data": classes | {"features": {"surface": False}}})
    textured = build("mesh_segmentation", {"model": {"texture": {}}, "data": classes})
    assert (plain_stage.baseline().surface, plain_stage.baseline().colours) == (False, False)  # type: ignore[attr-defined]
    assert (textured.baseline().surface, textured.baseline().colours) == (True, True)  # type: ignore[attr-defined]


def test_a_mesh_without_faces_and_what_cannot_be_learned():
    empty = plain(size=6) | {
        "faces": np.zeros((0, 3), int), "face_pixels": pixels(), "truth/face_labels": np.zeros((0, 1), np.int16),
        "face_surface": np.zeros((0, 2), np.float32),
    }  # fmt: skip
    baseline = MeshBaseline(SMALL.model_copy(update={"radii": (2.0,)}), CLASSES, True, True)
    with pytest.raises(WeftError, match="not been fitted"):
        baseline.predict(empty)  # type: ignore[arg-type]
    with pytest.raises(WeftError, match="1 meshes with 0 classes"):
        baseline.fit([empty], seed=0)  # type: ignore[list-item]
    with pytest.raises(WeftError, match="class 2, expected -1 to 1"):
        MeshBaseline(SMALL, CLASSES[:2], True, True).fit([plain(size=6)], seed=0)  # type: ignore[list-item]
    baseline.fit([empty, plain(size=6)], seed=0)  # type: ignore[list-item]
    assert baseline.predict(empty)["face_probabilities"].shape == (0, 3)  # type: ignore[arg-type]


def test_surroundings_do_not_depend_on_what_is_looked_at_together(monkeypatch):
    event = plain(size=6, seed=1)
    whole = face_statistics(event, True, True, (3.0,))
    monkeypatch.setattr("weft.tasks.mesh_segmentation.face_statistics._BLOCK", 7)
    np.testing.assert_allclose(face_statistics(event, True, True, (3.0,)), whole, rtol=1e-5, atol=1e-5)
