import numpy as np
import pytest
from label_events import deposits_at, line, particle, table

from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS, TRUE_KEY_POINTS
from weft.triplets.key_points import best_plane, key_point_labels, seen_deposits, true_key_points, xyz
from weft.triplets.label_options import LabelOptions

OPTIONS = LabelOptions()
VERTEX, START, END, SHOWER, MICHEL, DELTA = range(6)
TRACK = {"pdg": 13, "shape": 1, "group_id": 0, "dist_travel": 10.0}


def points_of(particles, deposits, **options):
    """(kind, particle, x, y, z) of each, rounded."""
    points = true_key_points(particles, deposits, LabelOptions(**options))
    assert points.dtype == TRUE_KEY_POINTS.dtype
    return [(int(p["kind"]), int(p["particle"]), *(round(float(p[a]), 3) for a in "xyz")) for p in points]


def track(number, start, end, **columns):
    return particle(**({**TRACK, "group_id": number, "first_step": start, "last_step": end} | columns))


def test_a_track_has_a_start_and_an_end():
    start, end = (1.0, 2.0, 3.0), (1.0, 2.0, 13.0)
    found = points_of(table(track(0, start, end)), deposits_at(line(start, end), 0))
    assert found == [(START, 0, *start), (END, 0, *end)]


def test_what_enters_and_leaves_what_is_seen_begins_and_ends_there():
    # Along z through the whole box and beyond, where plane Y has no wires.
    start, end = (0.0, 5.0, -45.0), (0.0, 5.0, 45.0)
    charge = line(start, end)
    deposits = deposits_at(charge, 0)
    seen = charge[np.all([deposits[f"wire_{p}"] >= 0 for p in range(3)], axis=0)][:, 2].round(3)
    assert -38.5 < seen.min() < -38
    assert 38 < seen.max() < 38.5
    found = points_of(table(track(0, start, end, dist_travel=90.0)), deposits)
    assert found == [(START, 0, 0, 5, seen.min()), (END, 0, 0, 5, seen.max())]
    # Within reach of what was seen, the steps themselves count.
    near = (0.0, 5.0, float(seen.min()) - 2.9)
    assert points_of(table(track(0, near, end, dist_travel=90.0)), deposits)[0] == (START, 0, *np.round(near, 3))
    assert points_of(table(track(0, near, end, dist_travel=90.0)), deposits, reach=2.5)[0] == (
        START,
        0,
        0,
        5,
        seen.min(),
    )


def test_short_tracks_and_small_showers_have_no_points():
    start = np.array([1.0, 2.0, 3.0])
    charge = deposits_at(start + 0.3 * np.outer(np.arange(9), [0, 0, 1]), 0)  # 9 wires of plane Y, fewer of U and V
    assert best_plane(charge, charge["particle"], 2).tolist() == [9, 0]
    particles = table(track(0, start, start + np.array([0, 0, 2.4])))
    for fewest, kinds in ((9, [START, END]), (10, [])):
        assert [p[0] for p in points_of(particles, charge, track_pixels=fewest)] == kinds
    for shape, kind in ((0, SHOWER), (2, MICHEL), (3, DELTA)):
        particles["shape"] = shape
        assert points_of(particles, charge, shower_pixels=9) == [(kind, 0, 1, 2, 3)]
        assert points_of(particles, charge, shower_pixels=10) == []
    particles["shape"] = 4  # low-energy charge
    assert points_of(particles, charge, shower_pixels=1, track_pixels=1) == []


def test_rows_that_only_electrons_reached_do_not_count():
    charge = deposits_at(line((1, 2, 3), (1, 2, 13)), 0)
    charge["energy"][::2] = 0
    assert len(seen_deposits(charge)) == len(charge) // 2
    charge["energy"] = 0
    assert points_of(table(track(0, (1, 2, 3), (1, 2, 13))), charge) == []


def test_a_photon_starts_where_it_converts():
    # It is made at the vertex, frees charge 8 cm farther, and a second fragment of its group lies 15 cm away.
    conversion = np.array([0.0, 0.0, 8.0])
    photon = particle(pdg=22, shape=0, group_id=0, vtx=(0, 0, 0), first_step=conversion, last_step=conversion + 1)
    fragment = particle(pdg=11, shape=0, group_id=0, first_step=(0, 0, 15), last_step=(0, 0, 16))
    rain = np.random.default_rng(1).normal(0, 0.5, (60, 3))
    deposits = np.concatenate(
        [deposits_at(conversion + rain[:30], 0), deposits_at(rain[30:] + np.array([0, 0, 15]), 1)]
    )
    assert points_of(table(photon, fragment), deposits) == [(SHOWER, 0, 0, 0, 8)]
    # The pixels of all fragments count together; the start needs charge of the group nearby.
    both = best_plane(deposits, np.zeros(len(deposits), int), 1)[0]
    assert both > best_plane(deposits, deposits["particle"], 2).max()
    assert points_of(table(photon, fragment), deposits, shower_pixels=both) == [(SHOWER, 0, 0, 0, 8)]
    photon["first_step_x"] = -20.0
    assert points_of(table(photon, fragment), deposits) == []
    photon["first_step_x"] = np.nan
    assert points_of(table(photon, fragment), deposits) == []


def test_a_decay_and_a_knock_on_electron():
    muon = track(0, (0, 0, 0), (0, 0, 10))
    electron = particle(pdg=-11, shape=2, group_id=1, first_step=(0, 0, 10))
    delta = particle(pdg=11, shape=3, group_id=2, first_step=(0, 0, 5))
    deposits = np.concatenate([
        deposits_at(line((0, 0, 0), (0, 0, 10)), 0),
        deposits_at(line((0, 0, 10), (0, 6, 10)), 1, shape=2),
        deposits_at(line((0, 0, 5), (0, 5, 5)), 2, shape=3),
    ])  # fmt: skip
    found = points_of(table(muon, electron, delta), deposits)
    assert found == [(START, 0, 0, 0, 0), (END, 0, 0, 0, 10), (MICHEL, 1, 0, 0, 10), (DELTA, 2, 0, 0, 5)]


def of_vertex(number, vertex, end, ancestor, interaction=0, **columns):
    # The charge begins 1 cm from the vertex.
    vertex, end = np.asarray(vertex, float), np.asarray(end, float)
    start = vertex + (end - vertex) / np.linalg.norm(end - vertex)
    row = track(
        number, start, end, interaction_id=interaction, ancestor_trackid=ancestor, ancestor_vtx=vertex, **columns
    )
    return row, deposits_at(line(start, end), number)


def event(*pairs):
    return table(*(row for row, _ in pairs)), np.concatenate([charge for _, charge in pairs])


def vertices_of(pairs, **options):
    return [p[2:] for p in points_of(*event(*pairs), **options) if p[0] == VERTEX]


def test_a_vertex_needs_two_primaries_that_are_seen():
    vertex, other = (1.0, 1.0, 1.0), (-5.0, -5.0, -5.0)
    first = of_vertex(0, vertex, (1, 1, 9), ancestor=1)
    second = of_vertex(1, vertex, (1, 9, 1), ancestor=2)
    daughter = of_vertex(1, vertex, (1, 9, 1), ancestor=1)  # of the first
    elsewhere = of_vertex(1, other, (5, 5, 5), ancestor=2)
    unknown = of_vertex(1, vertex, (1, 9, 1), ancestor=-1)
    assert vertices_of([first, second]) == [vertex]
    for pair in ([first, daughter], [first, elsewhere], [first, unknown]):
        assert vertices_of(pair) == []
    assert vertices_of([first, of_vertex(1, vertex, (1, 9, 1), ancestor=2, interaction=1)]) == []
    unseen = second[0], second[1][:0]
    assert vertices_of([first, unseen]) == []
    assert vertices_of([first, second], reach=0.5) == []  # its charge begins 1 cm away
    # Two interactions, each with its own; one that descends from a neutrino needs no second particle.
    third, fourth = (of_vertex(n, other, end, n, interaction=1) for n, end in ((2, (5, 5, -5)), (3, (-5, 5, 5))))
    assert sorted(vertices_of([first, second, third, fourth])) == [other, vertex]
    assert vertices_of([of_vertex(0, vertex, (1, 1, 9), ancestor=1, ancestor_pdg=-14)]) == [vertex]


def test_coordinates_of_another_origin():
    start, end, origin = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 13.0]), np.array([-3.0, 20.0, -40.0])
    rows, charge = table(track(0, start - origin, end - origin)), deposits_at(line(start, end), 0)
    assert points_of(rows, charge, origin=tuple(origin)) == [(START, 0, *start), (END, 0, *end)]
    with pytest.raises(WeftError, match=r"particle 0: its charge lies 3\d cm farther .* set labels.origin"):
        points_of(rows, charge)
    # Along x they may disagree, as charge does that is out of time; and one track that disagrees is no proof.
    rows["first_step_y"], rows["first_step_z"] = start[1:]
    assert len(points_of(rows, charge)) == 2
    good = track(1, start, end)
    rows = table(track(0, start - origin, end - origin), good)
    assert len(points_of(rows, np.concatenate([charge, deposits_at(line(start, end), 1)]))) == 4


def test_charge_that_is_out_of_time_is_where_it_arrives():
    # Its x is that of charge of time zero: 12 cm off. Tracks are found there, other points are left out.
    start, end, shift = np.array([1.0, 2.0, 3.0]), np.array([1.0, 7.0, 13.0]), np.array([12.0, 0, 0])
    rows = table(track(0, start, end), particle(pdg=11, shape=0, group_id=1, first_step=start))
    charge = np.concatenate([deposits_at(line(start, end) + shift, 0), deposits_at(line(start, end) + shift, 1)])
    assert points_of(rows, charge) == [(START, 0, *(start + shift)), (END, 0, *(end + shift))]


def test_deposits_of_nobody():
    with pytest.raises(WeftError, match="belongs to particle 1, expected one of 1 particles"):
        true_key_points(table(particle()), deposits_at([[0, 0, 0]], 1), OPTIONS)
    with pytest.raises(WeftError, match="belongs to particle -1"):
        true_key_points(table(particle()), deposits_at([[0, 0, 0]], -1), OPTIONS)


def test_any_order_of_deposits_and_nothing_at_all():
    rng = np.random.default_rng(3)
    pairs = [of_vertex(n, (0, 0, 0), rng.uniform(-20, 20, 3), ancestor=n, dist_travel=40.0) for n in range(8)]
    rows, charge = event(*pairs)
    rows["last_step_x"][::2] += 8  # so that the seen charge decides
    found = true_key_points(rows, charge, OPTIONS)
    assert found["kind"].tolist() == [0] + [1] * 8 + [2] * 8
    for _ in range(3):
        assert (true_key_points(rows, rng.permutation(charge), OPTIONS) == found).all()
    assert len(true_key_points(rows, charge[:0], OPTIONS)) == 0
    assert len(true_key_points(table(), charge[:0], OPTIONS)) == 0


# ------------------------------------------------------------------------------------------------------ labels


def key_points(*rows):
    return np.array([(*place, kind, 0) for kind, place in rows], TRUE_KEY_POINTS.dtype)


def test_scores_and_shifts_by_hand():
    points = key_points((START, (0, 0, 0)), (START, (10, 0, 0)), (DELTA, (0, 4, 0)))
    scores, shift = key_point_labels(np.array([[0, 0, 3.0], [9, 0, 0], [0, 0, 0]]), points, LabelOptions(sigma=3.0))
    assert scores.dtype == shift.dtype == np.float32
    e = np.exp
    expected = np.zeros((3, 6))
    expected[:, START] = e(-0.5), e(-1 / 18), 1
    expected[:, DELTA] = e(-25 / 18), 0, e(-16 / 18)  # √(81 + 16) is beyond the cut of 9.1 cm
    assert scores == pytest.approx(expected, abs=1e-6)
    assert shift[:, START].tolist() == [[0, 0, -3], [1, 0, 0], [0, 0, 0]]
    assert shift[0, DELTA].tolist() == [0, 4, -3]
    assert np.isfinite(shift[:, :, 0]).tolist() == (scores > 0).tolist()


@pytest.mark.parametrize(("sigma", "floor"), [(3.0, 0.01), (2.0, 0.01), (5.0, 0.1)])
def test_the_score_goes_on_to_the_cut(sigma, floor):
    """Specs/larmatch.md §12.6: it falls smoothly to `floor`, is 0 from there on, and nowhere jumps by more."""
    options = LabelOptions(sigma=sigma, floor=floor)
    distance = np.arange(0, 2 * options.cut, 1e-3)
    place = np.stack([distance, 0 * distance, 0 * distance], axis=1)
    score = key_point_labels(place, key_points((SHOWER, (0, 0, 0))), options)[0][:, SHOWER]
    assert options.cut == pytest.approx(sigma * np.sqrt(2 * np.log(1 / floor)))
    inside = distance < options.cut
    assert (score[inside] >= floor * (1 - 1e-6)).all()
    assert (score[~inside] == 0).all()
    falls = -np.diff(score)
    assert (falls[: inside.sum() - 1] > -1e-7).all()  # float32
    assert falls[: inside.sum() - 1].max() < 1.01e-3 * np.exp(-0.5) / sigma  # the steepest slope, at σ
    assert falls.max() == pytest.approx(floor, rel=0.01)
    if sigma == 3.0:
        assert options.cut == pytest.approx(9.1, abs=0.01)


def test_kinds_without_points_have_no_labels():
    place = np.zeros((4, 3))
    for points in (key_points(), key_points((MICHEL, (0, 0, 0)))):
        scores, shift = key_point_labels(place, points, OPTIONS)
        present = [len(points) > 0 and kind == MICHEL for kind in range(len(KEY_POINT_KINDS))]
        assert (scores > 0).all(axis=0).tolist() == present
        assert np.isfinite(shift).all(axis=(0, 2)).tolist() == present
    scores, shift = key_point_labels(place[:0], key_points((MICHEL, (0, 0, 0))), OPTIONS)
    assert scores.shape == (0, 6)
    assert shift.shape == (0, 6, 3)
    assert xyz(key_points((MICHEL, (1, 2, 3)))).tolist() == [[1, 2, 3]]
