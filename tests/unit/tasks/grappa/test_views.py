import numpy as np
import pytest
import torch
from grappa_events import event, line, nothing, particle, two_interactions, two_showers

from weft import tasks
from weft.engine.randomness import draw_generator
from weft.engine.task import Sample
from weft.tasks.grappa.options import OverlayOptions
from weft.tasks.grappa.views import in_pieces, overlay


def task(instance: str = "interaction", **data):
    return tasks.build("grappa", {"model": {"instance": instance}, "data": data})


def test_a_view_keeps_shapes_and_labels_and_moves_all_positions_alike() -> None:
    built = task(charge_jitter=0.0)
    sample = built.sample(two_interactions(), (0, 0), labels=True)
    seen = set()
    for t in range(40):
        view = built.draw(sample, draw_generator(0, t, 0)).arrays
        seen.add(view["coords"].tobytes())
        for name in ("group", "primary", "pid", "count", "charge"):
            np.testing.assert_array_equal(view[name], sample.arrays[name])
        for a in (sample.arrays, view):
            assert ((a["coords"] >= 0) & (a["coords"] < 100)).all()
        # Distances between all kinds of positions stay, whichever way round the ends are.
        first = np.concatenate([[0], np.cumsum(view["count"])[:-1]])
        for a, b in (("true_start", "vertex"), ("true_start", "true_end")):
            shift = 0.5 if b == "vertex" else 0.0
            lengths = [np.linalg.norm(x[a] + shift - x[b], axis=1) for x in (view, sample.arrays)]
            np.testing.assert_allclose(*lengths, atol=1e-3)
        lengths = [np.linalg.norm(x["coords"][first] - x["true_start"], axis=1) for x in (view, sample.arrays)]
        np.testing.assert_allclose(*lengths, atol=1e-3)
        ends = np.sort([np.linalg.norm(view[p] - view["true_start"], axis=1) for p in ("start", "end")], axis=0)
        same = np.sort(
            [np.linalg.norm(sample.arrays[p] - sample.arrays["true_start"], axis=1) for p in ("start", "end")], axis=0
        )
        np.testing.assert_allclose(ends, same, atol=1e-3)
    assert len(seen) > 20  # of 48 orientations


def test_without_augmentation_a_view_is_the_sample() -> None:
    built = task(flip=False, rotate=False, charge_jitter=0.0, order="given")
    sample = built.sample(two_interactions(), (0, 0), labels=True)
    view = built.draw(sample, draw_generator(0, 0, 0))
    for name, value in sample.arrays.items():
        np.testing.assert_array_equal(view.arrays[name], value)


def test_ends_are_swapped_as_often_as_not_and_the_label_follows() -> None:
    built = task(flip=False, rotate=False)
    sample = built.sample(two_interactions(), (0, 0), labels=True)
    ways = []
    for t in range(60):
        batch = built.collate([built.draw(sample, draw_generator(1, t, 0))])
        track = batch.shape == 1
        target = batch.targets["orientation"]
        assert (target[~track] == -1).all()
        torch.testing.assert_close(target[track] == 0, batch.swapped[track])
        ways.append(target[track])
    share = torch.cat(ways).float().mean().item()
    assert 0.4 < share < 0.6


def test_charge_jitter_scales_an_event() -> None:
    built = task("shower", charge_jitter=0.1)
    sample = built.sample(two_showers(), (0, 0), labels=True)
    ratio = built.draw(sample, draw_generator(0, 0, 0)).arrays["charge"] / sample.arrays["charge"]
    assert ratio[0] != 1
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_an_overlay_keeps_nodes_and_labels_of_events_apart() -> None:
    built = task()
    samples = [built.sample(two_interactions(seed), (0, seed), labels=True) for seed in range(5)]
    merged = overlay(samples, OverlayOptions(kind="const", events=2), np.random.default_rng(0))
    assert [len(m.arrays["row"]) for m in merged] == [12, 12, 6]
    two = merged[0].arrays
    assert two["group"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len(np.unique(two["own"])) == 12
    assert len(np.unique(two["row"])) == 12
    np.testing.assert_array_equal(two["pid"], np.concatenate([s.arrays["pid"] for s in samples[:2]]))
    batch = built.collate(merged)
    assert len(batch) == 3
    # Pairs across the two events exist, and are to be answered with no.
    a, b = batch.edge_index[:, batch.edge_index[0] < 12]
    across = (a < 6) != (b < 6)
    assert across.any()
    assert (batch.targets["edge"][: len(across)][across] == 0).all()


def test_labels_that_are_not_known_stay_unknown_in_an_overlay() -> None:
    sample = Sample(task().sample(two_interactions(), (0, 0), labels=True).arrays, (0, 0))
    unknown = sample.with_arrays(group=np.full(6, -1))
    merged = overlay([unknown, sample], OverlayOptions(kind="const", events=2), np.random.default_rng(0))
    assert merged[0].arrays["group"].tolist() == [-1] * 6 + [0, 0, 0, 1, 1, 1]


def test_a_poisson_overlay_has_that_many_events_on_average() -> None:
    sample = task("shower").sample(nothing(), (0, 0), labels=True)
    options = OverlayOptions(kind="poisson", events=3)
    merged = overlay([sample] * 900, options, np.random.default_rng(1))
    assert 900 / len(merged) == pytest.approx(3, rel=0.1)


def test_mixing_is_off_unless_asked_for() -> None:
    samples = [task().sample(two_interactions(), (0, 0), labels=True)] * 4
    rng = np.random.default_rng(0)
    assert len(task().mix(samples, rng)) == 4
    assert len(task(overlay={"kind": "const", "events": 4}).mix(samples, rng)) == 1


def test_detached_pieces_become_nodes_with_the_labels_of_the_whole() -> None:
    track = line((50, 10, 10), (10, 10, 10))  # towards lower x
    gap = np.concatenate([track[:15], track[20:]])
    whole = line((10, 40, 10), (30, 40, 10))
    made = event([particle(gap, 1, 13), particle(whole, 1, 211)])
    sample = task("track", order="given").sample(made, (0, 0), labels=True)
    assert sample.arrays["count"].tolist() == [36, 21]
    broken = in_pieces(sample.arrays)
    assert sorted(broken["count"].tolist()) == [15, 21, 21]
    assert broken["group"].tolist() == [0, 0, 1]
    assert broken["pid"].tolist() == [2, 2, 3]
    first = broken["count"].tolist().index(15)
    np.testing.assert_array_equal(broken["start"][first], [50, 10, 10])
    np.testing.assert_array_equal(broken["end"][first], [36, 10, 10])
    np.testing.assert_array_equal(broken["start"][1 - first], [30, 10, 10])
    np.testing.assert_array_equal(broken["start"][2], sample.arrays["start"][1])
    offsets = np.concatenate([[0], np.cumsum(broken["count"])])
    for k in range(3):
        mine = broken["coords"][offsets[k] : offsets[k + 1]]
        assert (np.diff(np.sort(mine[:, 0])) == 1).all()
        np.testing.assert_array_equal(made["voxels"][broken["voxel"][offsets[k] : offsets[k + 1]]], mine)


def test_pieces_are_made_in_training_alone_and_of_nothing_is_nothing() -> None:
    built = task("track")
    assert built.options.data.break_clusters
    gap = np.concatenate([line((50, 10, 10), (40, 10, 10)), line((30, 10, 10), (10, 10, 10))])
    sample = built.sample(event([particle(gap, 1, 13)]), (0, 0), labels=True)
    assert len(sample.arrays["row"]) == 1
    view = built.draw(sample, draw_generator(0, 0, 0))
    assert len(view.arrays["row"]) == 2
    assert built.collate([view]).targets["edge"].tolist() == [1, 1]
    assert len(in_pieces(built.sample(nothing(), (0, 0), labels=True).arrays)["row"]) == 0
    whole = task("track", break_clusters=False)
    assert len(whole.draw(sample, draw_generator(0, 0, 0)).arrays["row"]) == 1


def test_pieces_that_are_all_whole_are_the_clusters_themselves() -> None:
    sample = task("shower").sample(two_showers(), (0, 0), labels=True)
    broken = in_pieces(sample.arrays)
    for name, value in sample.arrays.items():
        np.testing.assert_array_equal(broken[name], value)
