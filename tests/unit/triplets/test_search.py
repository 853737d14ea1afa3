import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from triplet_detectors import SIXTY, random_tpc

from weft.triplets.options import TripletOptions
from weft.triplets.search import Rows, find_triplets

ALL = TripletOptions()


def none_dead(tpc):
    return tuple(np.zeros(plane.wires, bool) for plane in tpc.planes)


def live(tpc, pixels):
    """Rows of the planes from {(plane, row): wires}."""
    found = []
    for p in range(3):
        mine = sorted((row, wire) for (plane, row), wires in pixels.items() if plane == p for wire in wires)
        row, wire = (np.array([pixel[k] for pixel in mine], np.int64) for k in (0, 1))
        found.append(Rows.of(row, wire, tpc.readout.rows))
    return tuple(found)


def search(tpc, pixels, dead=(), options=ALL):
    masks = none_dead(tpc)
    for plane, wire in dead:
        masks[plane][wire] = True
    found = find_triplets(tpc, live(tpc, pixels), masks, options)
    return [(int(row), *map(int, wires)) for row, wires in zip(found.row, found.wires, strict=True)]


def random_event(tpc, seed):
    rng = np.random.default_rng(seed)
    density, share = rng.uniform(0.05, 0.7), rng.choice([0.0, 0.2, 0.5])
    pixels = {
        (p, row): np.flatnonzero(rng.random(plane.wires) < density).tolist()
        for p, plane in enumerate(tpc.planes)
        for row in range(tpc.readout.rows)
    }
    dead = [(p, w) for p, plane in enumerate(tpc.planes) for w in range(plane.wires) if rng.random() < share]
    return pixels, dead


def brute_force(tpc, pixels, dead, slack=0.0):
    """Every three wires, by the corners of the cell that the first two share, whatever the relation of the planes."""
    normals = np.stack([plane.normal / plane.pitch for plane in tpc.planes])
    offsets = np.array([plane.offset for plane in tpc.planes])
    half = 0.5 + slack
    u, v, y = np.ogrid[tuple(slice(plane.wires) for plane in tpc.planes)]
    third = []
    for du, dv in itertools.product((-half, half), repeat=2):
        edges = np.stack(np.broadcast_arrays(u + du - offsets[0], v + dv - offsets[1])).reshape(2, -1)
        corner = np.linalg.solve(normals[:2], edges)
        third.append((normals[2] @ corner + offsets[2]).reshape(len(u), -1, 1))
    meets = (np.min(third, axis=0) - half < y) & (y < np.max(third, axis=0) + half)
    found = []
    for row in range(tpc.readout.rows):
        alive, filled = np.zeros(meets.shape, int), meets.copy()
        for p, axes in enumerate(((1, 2), (0, 2), (0, 1))):
            state = np.zeros(tpc.planes[p].wires, int)
            state[[wire for plane, wire in dead if plane == p]] = 2
            state[list(pixels.get((p, row), ()))] = 1
            state = np.expand_dims(state, axes)
            alive, filled = alive + (state == 1), filled & (state > 0)
        found += [(row, *map(int, wires)) for wires in np.argwhere(filled & (alive >= 2))]
    return found


def test_by_hand():
    # w_Y = w_U + w_V − 20.5: 15 + 15 → 9.5, so 9 and 10; wires 8 and 11 only touch the cell
    pixels = {(0, 4): [15], (1, 4): [15], (2, 4): [7, 8, 9, 10, 11, 12]}
    assert search(SIXTY, pixels) == [(4, 15, 15, 9), (4, 15, 15, 10)]
    assert search(SIXTY, {**pixels, (2, 4): [8, 11]}) == []
    assert search(SIXTY, {**pixels, (2, 4): [], (2, 5): [9, 10], (2, 3): [9]}) == [], "another row is another time"
    assert search(SIXTY, pixels, options=TripletOptions(slack=0.1)) == [(4, 15, 15, y) for y in (8, 9, 10, 11)]


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_dead_wire_stands_for_one_pixel(plane):
    wires = [15, 16, 10]  # 15 + 16 − 20.5 = 10.5
    pixels = {(p, 2): [wire] for p, wire in enumerate(wires) if p != plane}
    assert search(SIXTY, pixels) == []
    assert search(SIXTY, pixels, dead=[(plane, wires[plane])]) == [(2, *wires)]
    assert search(SIXTY, pixels, dead=[(plane, wires[plane] + 3)]) == []
    assert search(SIXTY, pixels, [(plane, wires[plane])], TripletOptions(use_dead=False)) == []
    lit = {**pixels, (plane, 2): [wires[plane]]}
    assert search(SIXTY, lit, dead=[(plane, wires[plane])]) == [(2, *wires)], "with a pixel it is live"
    other = (plane + 1) % 3
    del pixels[other, 2]
    both = [(plane, wires[plane]), (other, wires[other])]
    assert search(SIXTY, pixels, dead=both) == [], "one of three, not two"


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.2]))
def test_equals_brute_force_for_any_geometry(seed, slack):
    tpc = random_tpc(seed)
    pixels, dead = random_event(tpc, seed)
    assert search(tpc, pixels, dead, TripletOptions(slack=slack)) == brute_force(tpc, pixels, dead, slack)


@given(st.integers(0, 10**6), st.permutations([0, 1, 2]))
def test_the_order_of_planes_does_not_matter(seed, order):
    tpc = random_tpc(seed)
    pixels, dead = random_event(tpc, seed)
    other = dataclasses.replace(tpc, planes=tuple(tpc.planes[p] for p in order))
    renamed = {(order.index(p), row): wires for (p, row), wires in pixels.items()}
    found = search(other, renamed, [(order.index(p), wire) for p, wire in dead])
    back = sorted((row, *(wires[order.index(p)] for p in range(3))) for row, *wires in found)
    assert back == search(tpc, pixels, dead)
    assert len(set(found)) == len(found)
    assert found == sorted(found)


@given(st.integers(0, 10**6))
def test_points_are_always_among_them(seed):
    """On live wires, and with any one plane dead (specs/larmatch.md §12.3)."""
    tpc = random_tpc(seed, wires=40)
    rng = np.random.default_rng(seed)
    position = np.column_stack([rng.uniform(0, 0.89, 200), rng.uniform(-9, 9, (200, 2))])
    wires, rows = tpc.wires(position), tpc.rows(position[:, 0])
    seen = (wires >= 0).all(1)
    true = {(int(row), *map(int, w)) for row, w in zip(rows[seen], wires[seen], strict=True)}
    pixels = {(p, row): {t[1 + p] for t in true if t[0] == row} for p in range(3) for row in range(3)}
    assert true <= set(search(tpc, pixels))
    for plane in range(3):
        others = {key: lit for key, lit in pixels.items() if key[0] != plane}
        dead = [(plane, wire) for wire in range(tpc.planes[plane].wires)]
        assert true <= set(search(tpc, others, dead))


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_the_active_box_and_its_margin(seed, margin):
    tpc = random_tpc(seed)
    pixels, dead = random_event(tpc, seed)
    all_of_them = search(tpc, pixels, dead)
    kept = search(tpc, pixels, dead, TripletOptions(margin=margin))
    yz = tpc.yz(np.array([t[1:] for t in all_of_them]).reshape(-1, 3))
    inside = (np.abs(yz) <= 1 + margin).all(1)
    assert kept == [t for t, there in zip(all_of_them, inside, strict=True) if there]


def full_row():
    pixels = {(p, 3): range(plane.wires) for p, plane in enumerate(SIXTY.planes)}
    pixels[2, 3] = range(1, SIXTY.planes[2].wires, 2)
    return pixels | {(0, 7): [15], (1, 7): [15], (2, 7): [9]}, [(2, w) for w in range(0, 20, 2)]


def test_a_cap_keeps_triplets_without_dead_wires_and_counts_what_it_drops():
    pixels, dead = full_row()
    whole = search(SIXTY, pixels, dead)
    alive = [t for t in whole if t[3] % 2]
    assert 100 < len(alive) < len(whole) - 100

    masks = none_dead(SIXTY)
    masks[2][::2] = True
    found = find_triplets(SIXTY, live(SIXTY, pixels), masks, TripletOptions(max_per_row=50))
    assert found.found[[3, 7]].tolist() == [len(whole) - 2, 2], "counted before the cap"
    assert np.bincount(found.row, minlength=10)[[3, 7]].tolist() == [50, 2]
    for cap in (50, len(alive) - 10, len(alive) + 30):
        kept = search(SIXTY, pixels, dead, TripletOptions(max_per_row=cap))
        assert kept == sorted(kept)
        assert set(kept) <= set(whole)
        row = [t for t in kept if t[0] == 3]
        assert len(row) == cap
        assert sum(t[3] % 2 for t in row) == min(cap, len([t for t in alive if t[0] == 3]))
    assert search(SIXTY, pixels, dead, TripletOptions(max_per_row=len(whole))) == whole


def test_what_a_cap_keeps_is_spread_over_the_row():
    pixels, dead = full_row()
    kept = np.array(search(SIXTY, pixels, dead, TripletOptions(max_per_row=60)))
    whole = np.array(search(SIXTY, pixels, dead))
    assert np.ptp(kept[:, 1]) > 0.7 * np.ptp(whole[:, 1]), "not the first ones only"
    more = search(SIXTY, pixels, dead, TripletOptions(max_per_row=90))
    assert {tuple(t) for t in kept} <= set(more), "a higher cap adds to it"


def test_rows_do_not_see_each_other():
    pixels, dead = random_event(SIXTY, 5)
    for cap in (None, 20):
        whole = search(SIXTY, pixels, dead, TripletOptions(max_per_row=cap))
        apart = [
            triplet
            for row in range(SIXTY.readout.rows)
            for triplet in search(
                SIXTY, {key: wires for key, wires in pixels.items() if key[1] == row}, dead,
                TripletOptions(max_per_row=cap),
            )
        ]  # fmt: skip
        assert whole == apart


def test_nothing_in_one_plane_or_in_all():
    assert search(SIXTY, {}) == []
    assert search(SIXTY, {}, dead=[(p, w) for p in range(3) for w in range(20)]) == []
    assert search(SIXTY, {(0, 1): range(30)}) == []
    assert search(SIXTY, {(0, 1): range(30)}, dead=[(1, w) for w in range(30)]) == []
