"""Features of faces: dims and order, values by hand, invariances."""

import numpy as np
import pytest

from weft.errors import WeftError
from weft.meshes.augment import rotation
from weft.meshes.feature_options import FeatureOptions
from weft.meshes.features import Frame, cluster_centres, face_features, feature_names, mesh_frame, needs_frame
from weft.meshes.geometry import centroids
from weft.meshes.statistics import Standard, standard

VERTICES = np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 2]])
FACES = np.array([[0, 1, 2], [0, 1, 3]])
SURFACE = np.array([[0.5, 0.25], [1.5, 0.75]], np.float32)


def mesh(seed=0, faces=60):
    rng = np.random.default_rng(seed)
    vertices = rng.random((40, 3)) * [30, 20, 5] + [7750.95, 4750.95, 16.6]
    chosen = np.stack([rng.choice(40, 3, replace=False) for _ in range(faces)])
    return vertices, chosen, rng.random((faces, 2)).astype(np.float32), rng.integers(0, 4, faces)


@pytest.mark.parametrize(
    ("positions", "surface", "dims"), [("bbox", False, 16), ("mesh", True, 19), ("none", False, 7), ("none", True, 10)]
)
def test_columns_are_named_and_as_many_as_in_the_spec(positions, surface, dims):
    options = FeatureOptions(positions=positions, surface=surface)
    vertices, faces, around, _ = mesh()
    features = face_features(vertices, faces, around if surface else None, options)
    assert features.shape == (60, dims)
    assert features.dtype == np.float32
    assert len(feature_names(options)) == len(set(feature_names(options))) == dims
    assert len(feature_names(FeatureOptions(positions="none", normals=False, surface=False))) == 4


def test_values_by_hand_in_the_order_of_the_names():
    options = FeatureOptions(positions="bbox")
    by_name = dict(zip(feature_names(options), face_features(VERTICES, FACES, SURFACE, options).T, strict=True))
    assert [by_name[name][0] for name in ("x0", "y0", "z0", "x1", "y1", "y2", "x2")] == [0, 0, 0, 1, 0, 1, 0]
    assert by_name["z2"].tolist() == [0, 1]
    assert by_name["angle0"] == pytest.approx([0.5, 0.5])
    assert by_name["angle1"][0] == pytest.approx(np.arctan(4 / 3) / np.pi)
    assert [by_name[f"normal_{axis}"].tolist() for axis in "xyz"] == [[0, 0], [0, -1], [1, 0]]
    assert by_name["slope"] == pytest.approx([0, np.pi / 2])
    assert by_name["height"].tolist() == [0.5, 1.5]
    assert by_name["roughness"].tolist() == [0.25, 0.75]
    assert by_name["area"] == pytest.approx(np.log([7, 4]))


def test_scaling_by_the_range_over_the_mesh():
    options = FeatureOptions(positions="none", scaling="mesh")
    by_name = dict(zip(feature_names(options), face_features(VERTICES, FACES, SURFACE, options).T, strict=True))
    smallest = np.arctan(2 / 3)
    share = (np.arctan(4 / 3) - smallest) / (np.pi / 2 - smallest)
    assert by_name["angle0"] == pytest.approx([1, 1])
    assert by_name["angle1"] == pytest.approx([share, 0])
    assert by_name["area"].tolist() == [1, 0]


def test_centres_of_clusters_and_of_the_mesh():
    clusters = np.array([0, 1])
    own = face_features(VERTICES, FACES, None, FeatureOptions(surface=False), clusters=clusters)[:, :9]
    assert own[0] == pytest.approx([-1, -4 / 3, 0, 2, -4 / 3, 0, -1, 8 / 3, 0])
    one = face_features(VERTICES, FACES, None, FeatureOptions(surface=False), clusters=np.zeros(2, int))[:, :9]
    whole = face_features(VERTICES, FACES, None, FeatureOptions(surface=False, positions="mesh"))[:, :9]
    assert one == pytest.approx(whole)
    assert one.reshape(-1, 3).mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-6)


def test_an_unused_vertex_changes_nothing():
    stray = np.concatenate([VERTICES, [[1e6, 1e6, 1e6]]])
    options = FeatureOptions(positions="bbox", scaling="mesh")
    given = face_features(VERTICES, FACES, SURFACE, options)
    assert np.array_equal(face_features(stray, FACES, SURFACE, options), given)


@pytest.mark.parametrize("positions", ["bbox", "cluster", "mesh"])
def test_moving_the_mesh_changes_nothing(positions):
    vertices, faces, around, clusters = mesh()
    options = FeatureOptions(positions=positions)
    here = face_features(vertices, faces, around, options, clusters=clusters)
    there = face_features(vertices + np.array([-512, 1024, 64]), faces, around, options, clusters=clusters)
    assert there == pytest.approx(here, abs=1e-6)


def test_turning_the_mesh_turns_normals_and_positions_and_nothing_else():
    vertices, faces, around, clusters = mesh()
    options = FeatureOptions()
    turn = rotation(np.array([0.0, 0, 1]), 0.7)
    before = face_features(vertices, faces, around, options, clusters=clusters)
    after = face_features(vertices @ turn.T, faces, around, options, clusters=clusters)
    expected = before.astype(np.float64)
    for start in (0, 3, 6, 12):
        expected[:, start : start + 3] = expected[:, start : start + 3] @ turn.T
    assert after == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(after[:, 12:14], before[:, 12:14])


def test_features_of_some_faces_with_the_frame_of_all_are_those_of_all():
    vertices, faces, around, clusters = mesh()
    for positions in ("none", "bbox", "mesh", "cluster"):
        options = FeatureOptions(positions=positions, scaling="mesh")
        whole = face_features(vertices, faces, around, options, clusters=clusters)
        some = np.flatnonzero(clusters == 2)
        frame = mesh_frame(vertices, faces)
        part = face_features(vertices, faces[some], around[some], options, clusters=clusters[some], frame=frame)
        assert np.array_equal(part, whole[some])


@pytest.mark.parametrize("positions", ["none", "cluster", "bbox", "mesh"])
@pytest.mark.parametrize("scaling", ["physical", "mesh"])
def test_the_frame_is_measured_where_it_is_read_and_nowhere_else(monkeypatch, positions, scaling):
    vertices, faces, around, clusters = mesh()
    options = FeatureOptions(positions=positions, scaling=scaling)
    other = Frame(np.zeros(3), np.full(3, 7.0), np.ones(3), (0.0, 5.0), (0.0, 1e9))
    measured = []
    monkeypatch.setattr("weft.meshes.features.mesh_frame", lambda *of: measured.append(of) or mesh_frame(*of))
    own = face_features(vertices, faces, around, options, clusters=clusters)
    assert len(measured) == needs_frame(options)
    given = face_features(vertices, faces, around, options, clusters=clusters, frame=other)
    assert len(measured) == needs_frame(options)
    assert np.array_equal(own, given) != needs_frame(options)


@pytest.mark.parametrize("scaling", ["physical", "mesh"])
def test_a_flat_mesh_and_faces_without_area_have_finite_features(scaling):
    vertices = np.array([[0.0, 0, 5], [1, 0, 5], [0, 0, 5]])
    faces = np.array([[0, 1, 2], [0, 0, 0]])
    for positions in ("bbox", "mesh"):
        features = face_features(vertices, faces, SURFACE, FeatureOptions(positions=positions, scaling=scaling))
        assert np.isfinite(features).all()
    assert face_features(vertices, faces[:0], SURFACE[:0], FeatureOptions(positions="bbox")).shape == (0, 19)


def test_what_is_missing_is_named():
    with pytest.raises(WeftError, match=r"expected heights and roughness of shape \[2, 2\], got none"):
        face_features(VERTICES, FACES, None, FeatureOptions(positions="mesh"))
    with pytest.raises(WeftError, match=r"got \[1, 2\]"):
        face_features(VERTICES, FACES, SURFACE[:1], FeatureOptions(positions="mesh"))
    with pytest.raises(WeftError, match="expected the clusters of 2 faces, got none"):
        face_features(VERTICES, FACES, SURFACE, FeatureOptions())


def test_centres_are_means():
    vertices, faces, _, clusters = mesh()
    points = centroids(vertices[faces])
    for cluster, centre in enumerate(cluster_centres(points, clusters)):
        assert centre == pytest.approx(points[clusters == cluster].mean(axis=0))


def test_statistics_are_those_of_all_rows_however_they_are_read():
    rows = np.random.default_rng(1).normal(7750, [[1e-2, 3, 0]], (500, 3))
    rows[:, 2] = 4
    found = standard([rows[:3], rows[3:3], rows[3:400], rows[400:]], "abc")
    assert found.mean == pytest.approx(rows.mean(axis=0))
    assert found.deviation[:2] == pytest.approx(rows.std(0)[:2])
    assert found.deviation[2] == 1
    shifted = found(rows)
    assert shifted.dtype == np.float32
    assert shifted.std(axis=0) == pytest.approx([1, 1, 0], abs=1e-4)
    again = Standard.of(found.plain())
    assert np.array_equal(again(rows), shifted)


def test_statistics_name_the_column_that_is_not_finite():
    with pytest.raises(WeftError, match="2 values are not finite, in 'b'"):
        standard([np.ones((4, 2)), np.array([[1, np.nan], [1, np.inf]])], "ab")
    with pytest.raises(WeftError, match="no face"):
        standard([np.zeros((0, 2))], "ab")
