"""Types, primaries, topologies, containment, orientation, spread: by hand."""

import numpy as np
import pytest

from weft.io.products import DELTA, META, MICHEL, SHOWER, TRACK, Ragged
from weft.io.reco_products import ELECTRON, KAON, MUON, PHOTON, PION, POINTS, PROTON
from weft.reco.containment import contained, inside
from weft.reco.csda import dedx_at
from weft.reco.orientation import starts_by_dedx, starts_by_points, starts_by_vertex
from weft.reco.pid import residual_dedx, template_chi2, template_scores, track_chi2, visible_dedx
from weft.reco.shape_logic import best_type, restrict_primaries, restrict_types
from weft.reco.spread import axial_spread, directional_spread
from weft.reco.topology import count_types, counts_in_topology, topology


def _lists(*items):
    return Ragged.of([np.array(item, np.int32) for item in items], np.empty(0, np.int32))


def _stopping_track(pid, length=40.0, visible=True, step=0.3):
    """Points every `step` cm along x, three abreast, with the energy that a particle of a type leaves as it stops."""
    x = np.arange(step / 2, length, step)
    loss = dedx_at(length - x, pid) * step
    loss = visible_dedx(loss / step) * step if visible else loss
    points = np.concatenate([np.stack([x, np.full_like(x, y), 0 * x], axis=1) for y in (-0.3, 0.0, 0.3)])
    return points, np.tile(loss / 3, 3)


# --- types ----------------------------------------------------------------------------------------------------


def test_visible_energy_is_right_where_it_is_calibrated():
    assert visible_dedx(2.1) == pytest.approx(2.1)
    assert visible_dedx(20.0) == pytest.approx(20.0 * 0.32 / 0.705, rel=0.02)  # specs/anchors.md: R = 0.32 at 20 MeV/cm


@pytest.mark.parametrize("pid", [MUON, PROTON])
@pytest.mark.parametrize("visible", [True, False])
def test_a_stopping_particle_has_the_least_chi2_with_its_own_template(pid, visible):
    """In short segments: over long ones the rise at the end is not that of their middle, and muons look like pions."""
    points, energy = _stopping_track(pid, visible=visible)
    options = {"length": 2.0, "visible": visible}
    chi2 = track_chi2(points, energy, points[0], points[-1], **options)
    best = (MUON, PION, PROTON, KAON)[int(np.argmin(chi2))]
    assert best == pid
    assert chi2.min() < 0.1
    assert np.allclose(track_chi2(points, energy, points[-1], points[0], **options), chi2)
    assert track_chi2(points, energy, points[-1], points[0], both_ways=False, **options).min() > chi2.min()


def test_residual_range_counts_from_the_end():
    points, energy = _stopping_track(MUON)
    residual, dedx = residual_dedx(points, energy, points[len(points) // 3 - 1])
    assert np.allclose(residual[:3], [2.5, 7.5, 12.5], atol=0.2)
    assert dedx[0] > dedx[1] > dedx[2]


def test_chi2_by_hand():
    """One segment that shows 4 MeV/cm where 2 are expected: (4 − 2)²/4."""
    where = np.array([30.0])
    expected = dedx_at(where, MUON)[0]
    chi2 = template_chi2(where, np.array([2 * expected]), [MUON], visible=False)
    assert chi2[0] == pytest.approx(expected / 2)
    assert np.isnan(template_chi2(np.empty(0), np.empty(0))).all()


def test_scores_of_templates():
    shape = np.array([TRACK, TRACK, SHOWER, SHOWER, SHOWER, MICHEL, DELTA, 4])
    chi2 = np.full((8, 4), np.nan)
    chi2[0] = (0.1, 0.2, 9.0, 3.0)
    start = np.array([0, 0, 2.1, 4.2, 0.0, 0, 0, 0])
    scores = template_scores(shape, chi2, start)
    assert np.allclose(scores[:7].sum(1), 1)
    assert scores[:7].argmax(1).tolist() == [MUON, PROTON, ELECTRON, PHOTON, PHOTON, ELECTRON, ELECTRON]
    assert scores[0, MUON] / scores[0, PION] == pytest.approx(np.exp(0.1))
    assert scores[2, ELECTRON] == pytest.approx(scores[3, PHOTON])
    assert np.isnan(scores[7]).all()
    assert len(template_scores(shape[:0], chi2[:0], start[:0])) == 0


def test_classes_restrict_types():
    scores = np.array(
        [[0.1, 0.1, 0.4, 0.2, 0.2], [0.1, 0.3, 0.6, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [np.nan] * 5]
    )
    shape = np.array([TRACK, SHOWER, MICHEL, SHOWER, TRACK])
    found = restrict_types(scores, shape)
    assert np.allclose(found[0], [0, 0, 0.5, 0.25, 0.25])
    assert np.allclose(found[1], [0.25, 0.75, 0, 0, 0])
    assert np.allclose(found[2], [0, 1, 0, 0, 0])
    assert np.allclose(found[3], [0.5, 0.5, 0, 0, 0])  # nothing allowed has a score
    assert np.isnan(found[4]).all()
    assert restrict_primaries([0.9, 0.9, np.nan], [TRACK, DELTA, MICHEL])[:2].tolist() == [0.9, 0.0]


def test_types_by_threshold():
    scores = np.array([[0.0, 0.0, 0.5, 0.1, 0.4], [0.0, 0.0, 0.2, 0.5, 0.3], [np.nan] * 5])
    assert best_type(scores).tolist() == [MUON, PION, -1]
    assert best_type(scores, {PROTON: 0.4}).tolist() == [PROTON, PION, -1]
    # Of what is left once the proton is not taken, 0.7, the muon has 0.29.
    assert best_type(scores, {PROTON: 0.5, MUON: 0.28}).tolist() == [MUON, MUON, -1]


# --- topology -------------------------------------------------------------------------------------------------


def test_topology_counts_what_has_enough_energy():
    pid = np.array([MUON, PROTON, PROTON, PHOTON, -1])
    valid = counts_in_topology(pid, np.array([25.0, 49.9, 50.0, 24.0, 500.0]))
    assert valid.tolist() == [True, False, True, False, False]
    counts = count_types(np.array([0, 0, 0, 1, 1]), np.where(valid, pid, -1), 3)
    assert [topology(row) for row in counts] == ["1mu1p", "", ""]
    assert topology([1, 0, 1, 0, 2, 1]) == "1g1mu2p1ka"
    assert counts_in_topology(pid[:1], np.array([1.0]), {}).tolist() == [True]


# --- containment ----------------------------------------------------------------------------------------------


def _meta(size=0.3, count=100):
    meta = np.zeros(1, META.dtype)
    for axis in "xyz":
        meta[f"size_{axis}"], meta[f"n{axis}"] = size, count
    return meta


def test_containment_keeps_the_margin_from_every_wall():
    points = np.array([[15.0, 15, 15], [4.9, 15, 15], [15, 25.1, 15], [5, 5, 25.0]])
    assert inside(points, _meta(), 5.0).tolist() == [True, False, False, True]
    assert contained(points, _lists([0, 3], [0, 1], []), _meta(), 5.0).tolist() == [True, False, True]
    assert not inside(np.full((1, 3), np.nan), _meta(), 0.0)[0]


# --- orientation ----------------------------------------------------------------------------------------------


def test_tracks_start_where_less_is_lost():
    points, energy = _stopping_track(PROTON)
    first, last = np.array([points[0], points[-1]]), np.array([points[-1], points[0]])
    everything = _lists(range(len(points)), range(len(points)))
    assert starts_by_dedx(points, energy, everything, first, last).tolist() == [True, False]
    assert starts_by_dedx(points, 0 * energy, everything, first, last).all()


def test_tracks_start_where_ppn_sees_no_end():
    known = np.zeros(3, POINTS.dtype)
    known["x"], known["end_score"] = [0, 40, 20], [0.9, 0.1, np.nan]
    start, end = np.array([[0.0, 0, 0], [40, 0, 0], [20, 0, 0]]), np.array([[40.0, 0, 0], [0, 0, 0], [90, 0, 0]])
    assert starts_by_points(start, end, known, 2.0).tolist() == [False, True, True]
    assert starts_by_points(start, end, known[:0], 2.0).all()
    assert len(starts_by_points(start[:0], end[:0], known, 2.0)) == 0


def test_tracks_start_at_the_vertex():
    start, end = np.array([[0.0, 0, 0], [9, 0, 0], [9, 0, 0]]), np.array([[9.0, 0, 0], [0, 0, 0], [0, 0, 0]])
    vertex = np.array([[1.0, 0, 0], [1, 0, 0], [np.nan] * 3])
    assert starts_by_vertex(start, end, vertex).tolist() == [True, False, True]


# --- spread ---------------------------------------------------------------------------------------------------


def test_a_ray_does_not_spread_and_a_cone_does():
    x = np.arange(1.0, 20)
    ray = np.stack([x, 0 * x, 0 * x], axis=1)
    cone = np.concatenate([np.stack([x, 0.1 * s * x, 0 * x], axis=1) for s in (-1, 1)])
    points = np.concatenate([ray, cone])
    nodes = _lists(range(len(ray)), range(len(ray), len(points)), [], [0])
    start = np.zeros((4, 3))
    start[3] = points[0]
    spread = directional_spread(points, nodes, start)
    assert spread[0] == pytest.approx(0, abs=1e-12)
    assert spread[1] == pytest.approx(1 - np.cos(np.arctan(0.1)))
    assert np.isnan(spread[2:]).all()
    axial = axial_spread(points, nodes, start, np.tile([1.0, 0, 0], (4, 1)))
    assert np.isnan(axial[0])
    assert axial[1] == pytest.approx(1)
