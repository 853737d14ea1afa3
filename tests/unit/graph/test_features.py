"""Features of nodes and edges: hand-computed values and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import WeftError
from weft.graph.compositions import COMPOSITIONS, Composition
from weft.graph.features import (
    EDGE_WIDTH,
    edge_feature_names,
    edge_features,
    feature_names,
    majority_class,
    node_features,
    reverse,
)
from weft.io.products import Ragged

#: Four voxels on a T: three along x, one beside the last.
TEE = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 2, 0]])
ONE = Ragged.of([np.arange(4)])


def event(seed=0, n=6):
    rng = np.random.default_rng(seed)
    coords = rng.normal(0, 10, (300, 3)).astype(np.float32)
    nodes = Ragged.of([rng.permutation(300)[: rng.integers(4, 60)] for _ in range(n)])
    return {
        "coords": coords,
        "nodes": nodes,
        "values": rng.gamma(2, 1, 300).astype(np.float32),
        "shapes": rng.integers(0, 4, n),
        "starts": coords[[item[0] for item in nodes]],
        "ends": coords[[item[1] for item in nodes]],
    }


def test_the_sixteen_of_a_t_by_hand():
    """Centroid (1.25, 0.5, 0); scatter Sxx 2.75, Syy 3, Sxy 1.5."""
    (row,) = node_features(TEE, ONE)
    largest, middle = np.array([5.75, 5.75]) / 2 + np.array([1, -1]) * np.sqrt(0.125**2 + 1.5**2)
    np.testing.assert_allclose(row[:3], [1.25, 0.5, 0])
    np.testing.assert_allclose(row[3:12].reshape(3, 3), np.array([[2.75, 1.5, 0], [1.5, 3, 0], [0, 0, 0]]) / largest)
    axis = np.array([1.5, largest - 2.75, 0])
    axis /= np.linalg.norm(axis)
    centred = TEE - [1.25, 0.5, 0]
    along = centred @ axis
    widening = (along * np.linalg.norm(centred - np.outer(along, axis), axis=1)).sum()
    np.testing.assert_allclose(row[12:15], np.sign(widening) * axis * (1 - middle / largest), rtol=1e-5)
    assert row[15] == 4


def test_the_axis_points_to_the_wide_end():
    fan = np.array([[0, 0, 0], [2, 0, 0], [4, 0, 0], [8, 2, 0], [8, -2, 0], [8, 0, 2], [8, 0, -2]])
    forward = node_features(fan, Ragged.of([np.arange(7)]))[0, 12:15]
    backward = node_features(-fan, Ragged.of([np.arange(7)]))[0, 12:15]
    assert forward[0] > 0.5
    np.testing.assert_allclose(backward, -forward)


@pytest.mark.parametrize("direction", [(1, 0, 0), (-1, 2, 0), (-1, -3, 2), (1, 1, -1)])
def test_on_a_line_the_largest_component_of_the_axis_is_positive(direction):
    line = np.arange(5)[:, None] * np.array(direction) + 7
    (row,) = node_features(line, Ragged.of([np.arange(5)]))
    unit = np.array(direction) / np.linalg.norm(direction)
    unit *= np.sign(unit[np.abs(unit).argmax()])
    np.testing.assert_allclose(row[12:15], unit, atol=1e-6)
    np.testing.assert_allclose(row[3:12].reshape(3, 3), np.outer(unit, unit), atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_voxels_in_one_place_have_twelve_zeros(size):
    place = np.full((size, 3), 0.1, np.float32)
    (row,) = node_features(place, Ragged.of([np.arange(size)]))
    np.testing.assert_array_equal(row, [*place[0], *[0] * 12, size])


@pytest.mark.parametrize("width", sorted(COMPOSITIONS))
def test_widths_and_names(width):
    composition = COMPOSITIONS[width]
    names = feature_names(composition)
    assert width == composition.width == len(names) == len(set(names))
    given = event()
    assert node_features(composition=composition, **given).shape == (6, width)
    nothing = Ragged.of([], np.empty(0, np.int64))
    empty = {"shapes": np.empty(0), "starts": np.empty((0, 3)), "ends": np.empty((0, 3))}
    assert node_features(**given | empty | {"nodes": nothing}, composition=composition).shape == (0, width)


def test_columns_after_the_sixteen_are_what_their_names_say():
    given = event()
    nodes, values = given["nodes"], given["values"]
    composition = COMPOSITIONS[33]
    columns = dict(zip(feature_names(composition), node_features(composition=composition, **given).T, strict=True))
    k = 2
    np.testing.assert_allclose(columns["value_mean"][k], values[nodes[k]].mean(), rtol=1e-6)
    np.testing.assert_allclose(columns["value_std"][k], values[nodes[k]].std(), rtol=1e-6)
    np.testing.assert_array_equal(columns["shape"], given["shapes"])
    np.testing.assert_array_equal(columns["start_y"], given["starts"][:, 1])
    np.testing.assert_array_equal(columns["end_z"], given["ends"][:, 2])
    for end in ("start", "end"):
        voxels = given["coords"][nodes[k]].astype(float)
        away = np.linalg.norm(voxels - given[f"{end}s"][k], axis=1)
        near = voxels[away <= 5] - given[f"{end}s"][k]
        if len(near) > 1:
            expected = near.mean(0) / np.linalg.norm(near.mean(0))
            loss = values[nodes[k]][away <= 5].sum() / away[away <= 5].max()
            found = [columns[f"{end}_direction_{axis}"][k] for axis in "xyz"]
            np.testing.assert_allclose(found, expected, rtol=1e-5)
            np.testing.assert_allclose(columns[f"{end}_dedx"][k], loss, rtol=1e-5)


def test_given_directions_take_the_place_of_computed_ones():
    given = event()
    own = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    rows = node_features(composition=COMPOSITIONS[22], start_directions=own, **given)
    np.testing.assert_array_equal(rows[:, 19:22], own)
    rows = node_features(composition=COMPOSITIONS[32], end_directions=own, **given)
    np.testing.assert_array_equal(rows[:, 27:30], own)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_voxels_and_of_clusters_and_where_it_all_is_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    given = event(seed)
    given["coords"] = np.round(given["coords"])
    given["starts"], given["ends"] = np.round(given["starts"]), np.round(given["ends"])
    composition = COMPOSITIONS[33]
    rows = node_features(composition=composition, optimize=True, **given)
    order = rng.permutation(6)
    shuffled = Ragged.of([rng.permutation(given["nodes"][k]) for k in order])
    moved = {name: given[name][order] for name in ("shapes", "starts", "ends")} | {"nodes": shuffled}
    np.testing.assert_allclose(
        node_features(composition=composition, optimize=True, **given | moved), rows[order], rtol=1e-4, atol=1e-4
    )
    shift = rng.integers(-500, 500, 3).astype(np.float32)
    far = {name: given[name] + shift for name in ("coords", "starts", "ends")}
    expected = rows.copy()
    names = feature_names(composition)
    for name in ("centroid", "start", "end"):
        at = names.index(f"{name}_x")
        expected[:, at : at + 3] += shift
    np.testing.assert_allclose(
        node_features(composition=composition, optimize=True, **given | far), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("missing", ["values", "shapes", "starts", "ends"])
def test_what_a_composition_needs_must_be_there(missing):
    given = event()
    given[missing] = None
    with pytest.raises(WeftError, match=f"{missing} are missing"):
        node_features(composition=COMPOSITIONS[33], **given)
    with pytest.raises(WeftError, match=f"{missing} "):
        node_features(composition=COMPOSITIONS[33], **event() | {missing: np.zeros((2, 7))})


def test_an_empty_cluster_is_an_error():
    nodes = Ragged.of([np.array([0]), np.array([], np.int64)])
    with pytest.raises(WeftError, match="cluster 1 has no voxels"):
        node_features(TEE, nodes)
    with pytest.raises(WeftError, match="empty"):
        edge_features(TEE, nodes, [[0, 1]])


def test_an_edge_by_hand():
    coords = np.array([[0, 0, 0], [1, 2, 2], [9, 9, 9], [4, 6, 2]])
    nodes = Ragged.of([np.array([0, 1]), np.array([2, 3])])
    (row,) = edge_features(coords, nodes, [[0, 1]])
    d = np.array([-3, -4, 0]) / 5
    np.testing.assert_allclose(row, [1, 2, 2, 4, 6, 2, *d, 5, *np.outer(d, d).ravel()], rtol=1e-6)
    assert len(edge_feature_names()) == len(set(edge_feature_names())) == EDGE_WIDTH == len(row)


def test_touching_and_common_voxels():
    coords = np.array([[3, 3, 3], [3, 3, 3]])
    (row,) = edge_features(coords, Ragged.of([np.array([0]), np.array([1])]), [[0, 1]])
    np.testing.assert_array_equal(row, [3] * 6 + [0] * 13)


def test_reversed_edges_are_those_of_the_reversed_pairs():
    coords = event(4)["coords"]
    nodes = Ragged.of(list(np.arange(300).reshape(6, 50)))
    edges = np.stack(np.triu_indices(6, 1), 1)
    forward = edge_features(coords, nodes, edges)
    backward = edge_features(coords, nodes, edges[:, ::-1])
    np.testing.assert_array_equal(reverse(forward), backward)
    np.testing.assert_array_equal(reverse(reverse(forward)), forward)
    assert not np.signbit(reverse(np.zeros((1, 19), np.float32))).any()


def test_no_edges():
    given = event()
    assert edge_features(given["coords"], given["nodes"], np.empty((0, 2), int)).shape == (0, EDGE_WIDTH)
    with pytest.raises(WeftError, match="closest voxels"):
        edge_features(given["coords"], given["nodes"], [[0, 1]], closest=np.zeros((3, 2), int))


def test_the_class_of_most_voxels():
    nodes = Ragged.of([np.array([0, 1, 2]), np.array([3, 0]), np.array([4, 5]), np.array([4, 4, 4, 2])])
    semantics = np.array([[1], [2], [2], [0], [-1], [-1]], np.int8)
    assert majority_class(nodes, semantics).tolist() == [2, 0, -1, 2]
    assert majority_class(Ragged.of([], np.empty(0, int)), semantics).shape == (0,)


def test_any_composition_has_its_width():
    composition = Composition(shape=True, directions=1, dedx=1)
    assert feature_names(composition)[16:] == [
        "shape", "start_direction_x", "start_direction_y", "start_direction_z", "start_dedx",
    ]  # fmt: skip
    assert node_features(composition=composition, **event()).shape == (6, 21)
