"""Views for training are events that the detector could have seen."""

import numpy as np
import pytest
import torch
from larmatch_tasks import network_of, small_task
from wire_events import DETECTOR, MIRROR_TIME, NO_MIRROR, TURN, event

from weft.errors import WeftError
from weft.tasks.larmatch.views import gain_view, random_view, view

READOUT, PLANES = DETECTOR.tpcs[0].readout, DETECTOR.tpcs[0].planes
#: What maps the toy detector on itself: its rows are those of −38.4 to 38.4 cm with 8 more at either end, and its wires
#: lie alike on either side of its middle.
MOVE_TIME = np.array([READOUT.rows - 1, 0, 0, 0])
MOVE_TURN = np.array([0, *(plane.wires - 1 for plane in PLANES)])


def rows_of(sample, position):
    """Rows of triplets by their wires and row, and the order that sorts them."""
    arrays = sample.arrays
    wires = arrays["wire"][arrays["pixel"]]
    cells = np.column_stack([arrays["row"][arrays["pixel"][:, 0]], wires])
    order = np.lexsort(cells.T)
    return cells[order], position[order], order


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("mirror", "moves"),
    [(NO_MIRROR, 0 * MOVE_TIME), (MIRROR_TIME, MOVE_TIME), (TURN, MOVE_TURN)],
    ids=["as it is", "time mirrored", "turned"],
)
def test_a_mirrored_view_is_the_view_of_the_mirrored_event(mirror, moves, seed):
    """Charge mirrored in space, seen, searched for triplets and labelled: all that a view says, from the beginning."""
    task = small_task()
    original, mirrored = event(seed, dead=20), event(seed, dead=20, mirror=mirror)
    sample, expected = task.sample(original, (0, 0), True), task.sample(mirrored, (0, 0), True)
    mine = sample.with_arrays(**view(sample.arrays, mirror == MIRROR_TIME, mirror == TURN, moves))
    positions = [np.stack([one["triplets"][axis] for axis in "xyz"], axis=1) for one in (original, mirrored)]
    cells, position, order = rows_of(mine, positions[0])
    their_cells, their_position, their_order = rows_of(expected, positions[1])
    assert np.array_equal(cells, their_cells)
    assert np.allclose(position * mirror, their_position, atol=1e-4)
    for name in ("good", "semantic"):
        assert np.array_equal(mine.arrays[name][order], expected.arrays[name][their_order]), name
    for name in ("key_points", "affinity", "shift"):
        some, others = mine.arrays[name][order], expected.arrays[name][their_order]
        assert np.allclose(some, others, atol=1e-3, equal_nan=True), name
        assert np.isfinite(some).any()
    for name in ("plane", "dead"):
        some, others = (s.arrays[name][s.arrays["pixel"]][o] for s, o in ((mine, order), (expected, their_order)))
        assert np.array_equal(some, others), name


def test_a_view_moves_rows_together_and_the_wires_of_each_plane_by_themselves():
    arrays = small_task().sample(event(0), (0, 0), True).arrays
    moved = view(arrays, False, False, np.array([5, 1, 2, 3]))
    assert np.array_equal(moved["row"], arrays["row"] + 5)
    assert np.array_equal(moved["wire"], arrays["wire"] + arrays["plane"] + 1)
    assert moved["row"].dtype == moved["wire"].dtype == np.int32
    assert np.array_equal(moved["affinity"], arrays["affinity"], equal_nan=True)


def test_views_are_drawn_from_the_generator_alone_and_as_far_as_they_are_asked_for():
    arrays = small_task().sample(event(0), (0, 0), True).arrays
    seen = set()
    for seed in range(40):
        one, again = (random_view(arrays, True, 7, np.random.default_rng(seed)) for _ in range(2))
        assert all(np.array_equal(one[name], again[name], equal_nan=True) for name in one)
        x, y, z = np.nanmedian(one["affinity"] / arrays["affinity"], axis=0).astype(int)
        seen.add((x, y, z))
        assert len(np.unique(one["row"] - x * arrays["row"])) == 1
        for p in range(3):
            moves = np.unique((one["wire"] - y * arrays["wire"])[arrays["plane"] == p])
            assert len(moves) == 1
            assert 0 <= moves[0] <= 7
    assert seen == {(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)}
    still = random_view(arrays, False, 0, np.random.default_rng(0))
    assert all(np.array_equal(still[name], arrays[name], equal_nan=True) for name in still)


def test_a_deep_network_is_moved_by_as_much_as_its_coarsest_grid():
    """Seven levels, as the second generation has: what it says is the same again after 64 pixels, not after fewer."""
    deep = {"widths": [4] * 7}
    task = small_task(deep, data={"shift": 64})
    network, sample = network_of(task), task.sample(event(0), (0, 0), False)

    def scores(move):
        moved = sample.with_arrays(**view(sample.arrays, False, False, np.full(4, move)))
        with torch.no_grad():
            return network(task.collate([moved]))["larmatch"]

    def change(move):
        return float((scores(move) - scores(0)).abs().max())

    # The coarsest levels say little in a network that has learned nothing: more than rounding is enough.
    assert change(64) < 1e-6
    assert min(change(move) for move in (16, 32, 48)) > 10 * max(change(64), 1e-7)
    drawn = [random_view(sample.arrays, False, 64, np.random.default_rng(seed)) for seed in range(600)]
    assert {int(one["row"][0] - sample.arrays["row"][0]) % 64 for one in drawn} == set(range(64))
    with pytest.raises(WeftError, match=r"data\.shift: 16 moves .* 7 levels, 64 pixels, .* expected 0 or at least 63"):
        small_task(deep)
    for enough in (0, 63):
        assert small_task(deep, data={"shift": enough}).options.data.shift == enough


def test_a_drawn_sample_has_whole_images_and_some_of_the_triplets():
    task = small_task(data={"sampling": {"triplets": 50, "key_points": None}, "charge_jitter": 0.1})
    sample = task.sample(event(0, dead=20), (0, 0), True)
    drawn, again, other = (task.draw(sample, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(drawn.arrays["triplet"]) == len(drawn.arrays["pixel"]) == len(drawn.arrays["affinity"]) == 50
    assert len(drawn.arrays["row"]) == len(sample.arrays["row"])
    assert (drawn.arrays["good"] == 1).sum() == 25
    rows = drawn.arrays["triplet"]
    assert np.array_equal(drawn.arrays["pixel"], sample.arrays["pixel"][rows])
    assert np.array_equal(np.abs(drawn.arrays["affinity"]), np.abs(sample.arrays["affinity"][rows]), equal_nan=True)
    assert all(
        np.array_equal(drawn.arrays[n], again.arrays[n], equal_nan=n in ("affinity", "shift")) for n in drawn.arrays
    )
    assert not np.array_equal(drawn.arrays["triplet"], other.arrays["triplet"])


def test_each_plane_of_each_volume_has_its_own_gain():
    """A factor each, exp(spread · normal), the same for all pixels of the plane, and none that says where zero is."""
    arrays = small_task().sample(event(0, dead=20), (0, 0), True).arrays
    two = {name: np.concatenate([arrays[name]] * 2) for name in ("charge", "plane")}
    two["tpc"] = np.repeat([0, 1], len(arrays["plane"]))
    drawn = [gain_view(two, 0.1, np.random.default_rng(seed)) for seed in range(300)]
    live = two["charge"] > 0
    assert all((charge[~live] == 0).all() and charge.dtype == np.float32 for charge in drawn)
    image = (two["tpc"] * 3 + two["plane"])[live]
    logs = np.log(np.stack(drawn)[:, live] / two["charge"][live])
    gains = np.stack([logs[:, image == k].mean(axis=1) for k in range(6)], axis=1)
    assert np.abs(logs - gains[:, image]).max() < 1e-5
    assert gains.std(axis=0) == pytest.approx(0.1, rel=0.2)
    assert np.abs(np.corrcoef(gains.T) - np.eye(6)).max() < 0.2
    assert gain_view(two, 0.0, np.random.default_rng(0)) is two["charge"]
    nothing = {name: array[:0] for name, array in two.items()}
    assert gain_view(nothing, 0.1, np.random.default_rng(0)).shape == (0,)


def test_a_view_can_be_left_out():
    task = small_task(data={"flip": False, "shift": 0, "charge_jitter": 0.0, "sampling": {"triplets": None}})
    sample = task.sample(event(0), (0, 0), True)
    drawn = task.draw(sample, np.random.default_rng(3))
    for name, array in sample.arrays.items():
        assert np.array_equal(array, drawn.arrays[name], equal_nan=name in ("affinity", "shift")), name
