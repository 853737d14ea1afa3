import numpy as np
import pytest
import torch
from grappa_events import event, line, nothing, one_shower, particle, shower, two_interactions, two_showers

from weft import tasks
from weft.tasks.grappa.options import OverlayOptions
from weft.tasks.grappa.views import overlay


def task(instance: str = "shower", model=None, loss=None):
    return tasks.build("grappa", {"model": {"instance": instance, **(model or {})}, "loss": loss or {}})


def batch(built, *events):
    return built.collate([built.sample(e, (0, k), labels=True) for k, e in enumerate(events)])


def test_graphs_side_by_side_with_empty_events_in_place() -> None:
    built = task()
    made = batch(built, two_showers(), nothing(), one_shower(), two_showers())
    assert made.node_offsets.tolist() == [0, 6, 6, 7, 13]
    assert made.edge_offsets.tolist() == [0, 30, 30, 30, 60]
    assert made.edge_index.shape == (2, 60)
    assert made.edge_index[:, 30:].min() == 7
    assert made.nodes.shape == (13, 33)
    assert made.offsets.tolist() == [0, 42, 42, 49, 91]
    assert made.coords[:, 0].unique().tolist() == [0, 2, 3]
    assert made.voxel_node.bincount().tolist() == [7] * 13
    np.testing.assert_array_equal(made.edge_index[:, ::2], made.edge_index.flip(0)[:, 1::2])
    torch.testing.assert_close(made.edges[::2, :3], made.edges[1::2, 3:6])
    torch.testing.assert_close(made.edges[::2, 6:9], -made.edges[1::2, 6:9])


def test_lengths_by_pair_of_classes_cut_edges() -> None:
    long = task(model={"graph": {"max_length": 20.0}})
    assert batch(long, two_showers()).edge_offsets.tolist() == [0, 12]  # 6 pairs of neighbours and second ones
    assert batch(task(model={"graph": {"max_count": 29}}), two_showers()).edge_offsets.tolist() == [0, 0]
    assert batch(task(model={"graph": {"kind": "loop", "max_length": None}}), two_showers()).edge_offsets.tolist() == [
        0,
        6,
    ]


def test_edge_targets_of_groups() -> None:
    made = batch(task(), two_showers())
    together = (made.edge_index < 3).all(0) | (made.edge_index >= 3).all(0)
    assert made.targets["edge"].tolist() == together.long().tolist()
    assert made.targets["edge_counts"].tolist() == [18, 12]
    assert made.targets["primary"].tolist() == [1, 0, 0, 1, 0, 0]


def test_edge_targets_of_parents_and_children() -> None:
    made = batch(task(loss={"edge": {"target": "particle_forest"}}), two_showers())
    on = made.edge_index[:, made.targets["edge"] == 1].T.tolist()
    assert sorted(on) == sorted(
        [[a, b] for a in (0, 3) for b in (a + 1, a + 2)] + [[b, a] for a in (0, 3) for b in (a + 1, a + 2)]
    )


def test_groups_without_one_true_primary_are_no_lesson() -> None:
    tied = shower((10, 10, 10), 0)
    tied[1]["time"] = tied[2]["time"] = 0.0  # nobody is the earliest
    made = event([*tied, *shower((10, 60, 60), 3)])
    pure = batch(task(), made)
    inside = (pure.edge_index < 3).all(0)
    assert (pure.targets["edge"][inside] == -1).all()
    assert (pure.targets["edge"][~inside] >= 0).all()
    assert pure.targets["primary"].tolist() == [-1, -1, -1, 1, 0, 0]
    plain = batch(task(loss={"edge": {"high_purity": False}, "primary": {"high_purity": False}}), made)
    assert (plain.targets["edge"] >= 0).all()
    assert plain.targets["primary"].tolist() == [0, 0, 0, 1, 0, 0]


def test_invalid_groups_and_impure_nodes_are_no_lesson() -> None:
    built = task(loss={"edge": {"high_purity": False}, "primary": {"high_purity": False}})
    sample = built.sample(two_showers(), (0, 0), labels=True)
    unknown = sample.with_arrays(group=np.array([-1, 0, 0, 3, 3, 3]))
    impure = sample.with_arrays(good=np.array([False] + [True] * 5))
    for changed in (unknown, impure):
        made = built.collate([changed])
        touched = (made.edge_index == 0).any(0)
        assert (made.targets["edge"][touched] == -1).all()
        assert (made.targets["edge"][~touched] >= 0).all()
    assert built.collate([impure]).targets["primary"].tolist() == [-1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(("contained", "known"), [(True, 3), (False, 6)])
def test_vertices_outside_the_image(contained: bool, known: int) -> None:
    far = two_interactions()
    particles = far["particles"].copy()
    particles["ancestor_vtx_x"][particles["interaction_id"] == 1] = -5.0
    from grappa_events import Event

    moved = Event(
        {**{k: far[k] for k in ("meta", "voxels", "charge", "semantics", "clusters")}, "particles": particles}
    )
    built = task("interaction", {"heads": ["edge", "vertex"]}, {"vertex": {"contained": contained}})
    assert batch(built, moved).targets["vertex"].isfinite().all(1).sum() == known


def test_a_bipartite_graph_leads_from_primaries_to_the_others() -> None:
    built = task(model={"graph": {"kind": "bipartite", "primaries": "shower_primary"}})
    assert built.reads[-1] == "shower_primary"
    made = batch(built, two_showers())
    assert made.first.tolist() == [True, False, False, True, False, False]
    assert len(made.edge_index[0]) == 2 * 2 * 4
    assert (made.first[made.edge_index].sum(0) == 1).all()


def test_lengths_are_between_voxels_or_centroids() -> None:
    """Fragments of 7 voxels in a row with 5 between: 6 between their closest voxels, 12 between their centroids."""
    for measure, longest, edges in (("voxel", 6.5, 8), ("voxel", 5.5, 0), ("centroid", 11.5, 0), ("centroid", 12.5, 8)):
        graph = {"max_length": longest, "measure": measure}
        assert batch(task(model={"graph": graph}), two_showers()).edge_offsets.tolist() == [0, edges]


@pytest.mark.parametrize(("neighbours", "pairs"), [(1, 4), (2, 6), (5, 15)])
def test_so_many_neighbours_of_each_cluster(neighbours: int, pairs: int) -> None:
    graph = {"kind": "knn", "neighbours": neighbours, "max_length": None}
    assert batch(task(model={"graph": graph}), two_showers()).edge_offsets.tolist() == [0, 2 * pairs]


def test_directions_can_be_those_of_the_straightest_part() -> None:
    bent = np.concatenate([line((10, 10, 10), (30, 10, 10)), line((30, 11, 10), (30, 14, 10))])
    made = event([particle(bent, 1, 13)])
    plain, best = (
        batch(task("interaction", {"radius": 30.0, "optimize": o}), made).nodes[0, 25:28] for o in (False, True)
    )
    assert abs(float(plain[1])) > 0.03
    assert abs(float(best[1])) < 0.02


def test_no_edges_lead_from_one_group_to_another() -> None:
    built = task(model={"graph": {"groups": "shower_groups", "max_length": None}})
    assert built.reads[-1] == "shower_groups"
    made = batch(built, two_showers())  # three fragments each
    assert sorted(made.edge_index[:, ::2].T.tolist()) == [[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5]]
    groups = two_showers()["shower_groups"].copy()
    groups[[1, 3]] = -1  # a fragment in no group has no edge
    fed = two_showers().fed(shower_groups=groups)
    assert sorted(batch(built, fed).edge_index[:, ::2].T.tolist()) == [[0, 2], [4, 5]]
    # Laid over each other, equal numbers of two events are not one group.
    laid = task(model={"graph": {"groups": "shower_groups", "max_length": None}})
    samples = [laid.sample(two_showers(), (0, k), labels=True) for k in range(2)]
    both = laid.collate(overlay(samples, OverlayOptions(kind="const", events=2), np.random.default_rng(0)))
    assert both.edge_index.shape[1] == 2 * made.edge_index.shape[1]


def test_the_direction_of_2020_is_that_from_start_to_end_for_tracks() -> None:
    """A track that turns by a right angle: its direction at the start is along x, its chord is not."""
    bent = np.concatenate([line((10, 10, 10), (30, 10, 10)), line((30, 11, 10), (30, 30, 10))])
    blob = line((60, 60, 60), (60, 66, 60))
    made = event([particle(bent, 1, 13), particle(blob, 0, 22), particle(np.array([[5, 5, 90]]), 1, 13)])
    nodes = batch(task("interaction", {"features": 28}), made).nodes
    assert nodes.shape == (3, 28)
    sign = 1.0 if nodes[0, 19] < nodes[0, 22] else -1.0  # its ends stand in a fixed order
    expected = np.array([20.0, 20.0, 0.0]) / np.sqrt(800)
    np.testing.assert_allclose(nodes[0, 25:], sign * expected, atol=1e-6)
    np.testing.assert_allclose(nodes[1, 25:], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(nodes[2, 25:], [1, 0, 0], atol=1e-6)
    local = batch(task("interaction", {"features": 33}), made).nodes[0, 25:28]
    assert np.abs(np.abs(local.numpy()) - np.abs(expected)).max() > 0.2


def test_features_do_not_depend_on_where_axes_point() -> None:
    built = task("interaction")
    made = event([particle(line((3, 4, 5), (20, 4, 5)), 1, 13), particle(line((3, 6, 5), (3, 30, 5)), 1, 2212)])
    turned = event([particle(line((5, 4, 3), (5, 4, 20)), 1, 13), particle(line((5, 6, 3), (5, 30, 3)), 1, 2212)])
    a, b = batch(built, made), batch(built, turned)
    torch.testing.assert_close(a.nodes[:, 15:19], b.nodes[:, 15:19])
    torch.testing.assert_close(a.edges[:, 9], b.edges[:, 9])
