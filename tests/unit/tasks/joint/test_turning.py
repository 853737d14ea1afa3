"""A turned event is the same physics: what is derived from it is what was derived before, turned."""

from __future__ import annotations

from typing import Any

import grappa_events
import numpy as np
import pytest
from joint_events import SCHEMAS

from weft.io.products import Ragged
from weft.reco.truth import Truth
from weft.tasks.joint.options import DataOptions
from weft.tasks.joint.record import Record
from weft.tasks.joint.turning import Turn

NAMES = tuple(schema.name for schema in SCHEMAS)
MOVING = DataOptions()


def record(seed: int = 0) -> Record:
    event = grappa_events.two_interactions(seed)
    return Record.read(event, (0, 0), ("voxels", "charge", "meta", "fragments", "interaction_vertex"), NAMES)


def turned(before: Record, seed: int, data: DataOptions = MOVING) -> tuple[Turn, Record]:
    turn = Turn.draw(before.fed["meta"], data, np.random.default_rng(seed))
    return turn, before.turned(turn, 7)


def centres(voxels: np.ndarray, meta: np.ndarray) -> np.ndarray:
    low, size = (np.array([meta[f"{what}_{a}"][0] for a in "xyz"]) for what in ("min", "size"))
    made: np.ndarray = low + (voxels + 0.5) * size
    return made


@pytest.mark.parametrize("seed", range(6))
def test_voxels_and_positions_move_together(seed: int) -> None:
    before = record()
    turn, after = turned(before, seed)
    expected = turn._position(centres(before.fed["voxels"], before.fed["meta"]))
    np.testing.assert_allclose(centres(after.fed["voxels"], after.fed["meta"]), expected, atol=1e-9)
    counts = np.array([after.fed["meta"][f"n{a}"][0] for a in "xyz"])
    assert (after.fed["voxels"] >= 0).all()
    assert (after.fed["voxels"] < counts).all()
    # Distances stay: of voxels to each other, and of steps of particles to voxels.
    for name in ("fed", "truth"):
        voxels = [getattr(event, name)["voxels"].astype(float) for event in (before, after)]
        first, second = (np.linalg.norm(v[:, None] - v[None], axis=2) for v in voxels)
        np.testing.assert_allclose(first, second, atol=1e-9)
    for point in ("first_step", "last_step", "ancestor_vtx"):
        places = [
            np.stack([event.truth["particles"][f"{point}_{a}"] for a in "xyz"], 1)[:, None]
            - centres(event.fed["voxels"], event.fed["meta"])[None]
            for event in (before, after)
        ]
        first, second = (np.linalg.norm(place, axis=2) for place in places)
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_derived_is_turned_too(seed: int) -> None:
    before = record(seed)
    turn, after = turned(before, seed, MOVING.model_copy(update={"charge_jitter": 0.0}))
    for name in ("voxel_particles", "fragment_voxels", "candidate_voxels", "shower_groups", "interaction_groups",
                 "interaction_pid", "fragments", "candidates", "interaction_vertex"):  # fmt: skip
        expected, found = turn.product(name, before.true(name)), after.true(name)
        if isinstance(expected, Ragged):
            np.testing.assert_array_equal(found.offsets, expected.offsets)
            expected, found = expected.values, found.values
        for column in expected.dtype.names or [...]:
            np.testing.assert_allclose(found[column], expected[column], atol=1e-4, err_msg=f"{name}.{column}")
    np.testing.assert_allclose(after.fed["fragments"]["start_x"], after.true("fragments")["start_x"], atol=1e-4)
    np.testing.assert_allclose(after.fed["interaction_vertex"], after.true("interaction_vertex"), atol=1e-4)


def test_momenta_and_offsets_turn_without_moving() -> None:
    meta = record().fed["meta"]
    turn = Turn(np.zeros(3), np.ones(3), np.full(3, 10), np.array([2, 0, 1]), np.array([True, False, False]),
                np.array([3, 0, 0]), 2.0)  # fmt: skip
    particle = np.zeros(1, [("px", "f8"), ("py", "f8"), ("pz", "f8"), ("end_px", "f8"), ("end_py", "f8"),
                            ("end_pz", "f8"), ("x", "f4"), ("y", "f4"), ("z", "f4"), ("mct_index", "i4")])  # fmt: skip
    particle[0] = (1, 2, 3, 4, 5, 6, 1, 2, 3, 9)
    found = turn.product("particles", particle)
    assert found[0].tolist() == (3, -1, 2, 6, -4, 5, 3, 9, 2, 9)
    proposals = np.array([[0.1, 0.2, 0.3, 0.9, 0.5]], np.float32)
    np.testing.assert_allclose(turn.product("point_proposals", proposals), [[0.3, -0.1, 0.2, 0.9, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(turn.product("voxels", np.array([[1, 2, 3]], np.int32)), [[3 + 3, 8, 2]])
    np.testing.assert_array_equal(turn.product("charge", np.ones((2, 1), np.float32)), np.full((2, 1), 2.0))
    assert meta["min_x"][0] == 0


def test_without_options_an_event_stays_as_it_is() -> None:
    before = record()
    still = DataOptions(flip=False, rotate=False, shift=0, charge_jitter=0.0)
    _, after = turned(before, 1, still)
    for name, value in {**before.fed, **before.truth}.items():
        other: Any = after.fed.get(name, after.truth.get(name))
        if isinstance(value, Ragged):
            value, other = value.values, other.values
        np.testing.assert_array_equal(value, other)
    assert (before.seed, after.seed) == (None, 7)


def test_all_ways_are_drawn() -> None:
    meta = record().fed["meta"]
    turns = [Turn.draw(meta, MOVING, np.random.default_rng(seed)) for seed in range(400)]
    assert len({(*turn.order, *turn.mirrored) for turn in turns}) == 48
    shifts = np.array([turn.shift for turn in turns])
    assert (shifts.min(), shifts.max()) == (0, 16)
    assert np.std([np.log(turn.charge) for turn in turns]) == pytest.approx(0.05, rel=0.15)


def test_true_products_are_derived_from_what_was_read() -> None:
    one = record()
    assert isinstance(one._derived, Truth)
    np.testing.assert_array_equal(one.true("fragments"), grappa_events.two_interactions(0)["truth/fragments"])
    assert "_derived" not in one.__getstate__()
