import numpy as np
from grappa_events import SIZE, Event, event, line, nothing, particle, two_interactions, two_showers

from weft.io.products import Ragged
from weft.tasks.grappa.labels import node_labels, right_way_round
from weft.tasks.grappa.nodes import in_fixed_order, read_nodes, swap
from weft.tasks.grappa.options import LossOptions, ModelOptions, Options


def model(instance: str = "shower", **more) -> ModelOptions:
    return Options.model_validate({"model": {"instance": instance, **more}}).model


def labels(made: Event, options: ModelOptions, **loss) -> dict[str, np.ndarray]:
    nodes = read_nodes(made, options)
    return nodes | node_labels(made, nodes, options, LossOptions.model_validate(loss))


def test_nodes_are_the_clusters_of_the_classes_that_are_large_enough() -> None:
    made = two_showers()
    nodes = read_nodes(made, model())
    assert nodes["row"].tolist() == [0, 1, 2, 3, 4, 5]
    assert nodes["rows"].tolist() == [7]
    assert nodes["count"].tolist() == [7] * 6
    np.testing.assert_array_equal(nodes["coords"], made["voxels"][nodes["voxel"]])
    assert read_nodes(made, model("track"))["row"].tolist() == [6]
    assert not len(read_nodes(made, model(min_size=8))["row"])


def test_ends_are_in_voxels_with_voxel_i_at_i() -> None:
    nodes = read_nodes(two_showers(), model("track"))
    np.testing.assert_allclose(nodes["start"], [[30, 30, 30]], atol=1e-4)
    np.testing.assert_allclose(nodes["end"], [[60, 40, 30]], atol=1e-4)
    np.testing.assert_allclose(nodes["extent"], [100, 100, 100])
    np.testing.assert_allclose(nodes["size"], SIZE)


def test_a_node_of_one_voxel_starts_exactly_there() -> None:
    """Else its energy over a length that is only rounding would be a feature."""
    voxels = [line(start, start)[:1] for start in ((61, 73, 87), (11, 29, 43), (97, 5, 71))]
    made = event([particle(voxel, 0, 22) for voxel in voxels])
    nodes = read_nodes(made, model(min_size=1))
    assert nodes["count"].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(nodes["start"], nodes["coords"])
    np.testing.assert_array_equal(nodes["end"], nodes["coords"])


def test_labels_of_fragments() -> None:
    found = labels(two_showers(), model())
    assert found["group"].tolist() == [0, 0, 0, 3, 3, 3]
    assert found["own"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found["parent"].tolist() == [-1, 0, 0, -1, 3, 3]
    assert found["primary"].tolist() == [1, 0, 0, 1, 0, 0]
    assert found["pid"].tolist() == [0] * 6  # of the photon that leads
    assert found["good"].all()


def test_labels_of_candidates() -> None:
    found = labels(two_interactions(), model("interaction"))
    assert found["group"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["pid"].tolist() == [2, 4, 0, 2, 4, 0]
    assert found["primary"].tolist() == [1] * 6
    np.testing.assert_allclose(found["momentum"], [400, 700, 200] * 2)
    np.testing.assert_allclose(found["vertex"][0], found["start"][0] + 0.5, atol=1e-4)
    assert right_way_round(found).tolist() == [1, 1, -1, 1, 1, -1]


def merged(made: Event, *pieces: list[int]) -> Event:
    """The event for a stage that is fed fragments made of these true ones."""
    items = Ragged.of([np.sort(np.concatenate([made["fragment_voxels"][k] for k in p])) for p in pieces])
    return made.fed(fragments=made["fragments"][[p[0] for p in pieces]], fragment_voxels=items)


def test_predicted_clusters_have_the_labels_of_most_of_their_voxels() -> None:
    made = event(
        [
            particle(line((0, 0, 0), (19, 0, 0)), 0, 11),
            particle(line((0, 50, 0), (9, 50, 0)), 0, 22),
            particle(line((0, 90, 0), (9, 90, 0)), 0, 11),
        ]
    )
    fed = merged(made, [1, 0], [2])
    found = labels(fed, model())
    assert found["own"].tolist() == [0, 2]  # 20 voxels against 10
    assert found["pid"].tolist() == [1, 1]
    assert labels(fed, model(), min_purity=0.6)["good"].tolist() == [True, True]
    assert labels(fed, model(), min_purity=0.7)["good"].tolist() == [False, True]
    half = made.fed(fragment_voxels=Ragged.of([made["fragment_voxels"][0][:8]]), fragments=made["fragments"][:1])
    assert labels(half, model(), min_efficiency=0.3)["good"].tolist() == [True]
    assert labels(half, model(), min_efficiency=0.5)["good"].tolist() == [False]


def test_only_the_closest_piece_of_a_primary_is_primary() -> None:
    made = event(
        [particle(line((0, 0, 0), (19, 0, 0)), 0, 22), particle(line((0, 9, 0), (9, 9, 0)), 0, 11, group=0, time=1.0)]
    )
    voxels = made["fragment_voxels"]
    pieces = Ragged.of([voxels[0][10:], voxels[0][:10], voxels[1]])  # the far half first
    fed = made.fed(fragment_voxels=pieces, fragments=made["fragments"][[0, 0, 1]])
    assert labels(fed, model())["primary"].tolist() == [1, 1, 0]
    assert labels(fed, model(), primary={"closest": True})["primary"].tolist() == [0, 1, 0]
    assert labels(fed, model(), pid={"closest": True})["pid"].tolist() == [-1, 0, 0]


def test_secondaries_can_be_left_without_a_type() -> None:
    made = event(
        [particle(line((0, 0, 0), (9, 0, 0)), 1, 13), particle(line((10, 0, 0), (19, 0, 0)), 1, 2212, at_vertex=False)]
    )
    assert labels(made, model("interaction"))["pid"].tolist() == [2, 4]
    assert labels(made, model("interaction"), pid={"secondaries": False})["pid"].tolist() == [2, -1]


def test_rain_can_be_left_without_a_label() -> None:
    """An interaction of one particle does not look like a neutrino's; that of a muon and a proton does."""
    neutrino = [
        particle(line((10, 10, 10), (30, 10, 10)), 1, 13, vertex=(10, 10, 10)),
        particle(line((10, 11, 10), (10, 30, 10)), 1, 2212, vertex=(10, 10, 10)),
    ]
    made = event([*neutrino, particle(line((60, 60, 60), (60, 90, 60)), 1, 13, interaction=1, vertex=(60, 60, 60))])
    known = labels(made, model("interaction"))
    assert (known["primary"].tolist(), known["pid"].tolist()) == ([1, 1, 1], [2, 4, 2])
    for head, other in (("primary", "pid"), ("pid", "primary")):
        found = labels(made, model("interaction"), **{head: {"rain": False}})
        assert found[head].tolist() == [*known[head][:2], -1]
        np.testing.assert_array_equal(found[other], known[other])


def test_the_fixed_order_of_ends_says_nothing_of_the_truth() -> None:
    nodes = read_nodes(two_interactions(), model("interaction"))
    once = nodes | in_fixed_order(nodes)
    other = nodes | swap(nodes, np.ones(len(nodes["row"]), bool))
    twice = other | in_fixed_order(other)
    for name in ("start", "end"):
        np.testing.assert_array_equal(once[name], twice[name])
    track = nodes["shape"] == 1
    np.testing.assert_array_equal(once["swapped"], twice["swapped"])  # both against the product
    assert (nodes["start"] != other["start"]).any(1)[track].all()
    assert not once["swapped"][~track].any()


def test_an_event_without_a_voxel_has_no_nodes() -> None:
    for instance in ("shower", "interaction"):
        found = labels(nothing(), model(instance))
        assert all(len(found[name]) == 0 for name in ("row", "coords", "group", "vertex", "good"))
        assert in_fixed_order(found)["start"].shape == (0, 3)
