"""Energies, lengths, vertices and overlaps equal SPINE's (spine 1.4.3, a test-only peer)."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from weft.io.products import MICHEL, SHOWER, TRACK, Ragged
from weft.io.reco_products import KAON, MUON, PION, POINT_PROPOSALS, PROTON
from weft.reco.csda import dedx_at, kinetic_of_range
from weft.reco.ends import cluster_ends
from weft.reco.length import track_length
from weft.reco.matching import overlap_matrix
from weft.reco.orientation import starts_by_dedx
from weft.reco.particle_points import particle_points
from weft.reco.pid import track_chi2
from weft.reco.scattering import highland, kinetic_of_angles, negative_log_likelihood, scattering_angles
from weft.reco.vertex import find_vertex, nearest_to_lines

pytestmark = pytest.mark.peer
pytest.importorskip("spine", reason="spine is not installed (pip install spine)")


def _track(seed, length=60.0, spread=0.15):
    """A wobbly track of points with energies, float32, in cm."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, length, int(length * 12)))
    bend = rng.normal(0, 0.002, 2)
    points = np.stack([t, bend[0] * t**2, bend[1] * t**2], axis=1) + rng.normal(0, spread, (len(t), 3))
    return points.astype(np.float32), rng.uniform(0.02, 0.4, len(t)).astype(np.float32)


@pytest.mark.parametrize("pid", [MUON, PION, PROTON, KAON])
def test_energy_of_range(pid):
    """To 1 %: SPINE's tables of muons and protons have corrections for radiation, shells and nuclear stopping."""
    from spine.physics.energy_loss import csda_table_spline

    residual = np.geomspace(0.5, 1000, 80)
    tolerance = 0.01 if pid in (MUON, PROTON) else 0.001
    assert np.allclose(kinetic_of_range(residual, pid), csda_table_spline(pid)(residual), rtol=tolerance)
    assert np.allclose(dedx_at(residual, pid), csda_table_spline(pid, value="dE/dx")(residual), rtol=tolerance)


def test_scattering():
    from spine.physics.mcs import highland as theirs
    from spine.physics.mcs import mcs_angles, mcs_fit, mcs_nll_lar

    p = np.geomspace(50, 5000, 20)
    assert np.allclose(highland(p, 105.658, 5.0), theirs(p, 105.658, 5.0), rtol=1e-6)
    rng = np.random.default_rng(0)
    directions = np.array([1.0, 0, 0]) + rng.normal(0, 0.03, (30, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    angles = scattering_angles(directions)
    assert np.allclose(angles, mcs_angles(directions), rtol=1e-6)
    resolution = 0.25 / 5**1.25
    for energy in (500.0, 1000.0, 3000.0):  # they lose energy in steps of 5 cm, we along the range
        ours = negative_log_likelihood(energy, angles, MUON, 5.0, resolution)[0]
        assert ours == pytest.approx(mcs_nll_lar(energy, angles, 105.658, 5.0), rel=0.01)
    assert kinetic_of_angles(angles, MUON, 5.0, resolution) == pytest.approx(mcs_fit(angles, 105.658, 5.0), rel=0.02)


@pytest.mark.parametrize("seed", range(8))
def test_length_of_a_track(seed):
    from spine.physics.tracking import get_track_length

    points, _ = _track(seed)
    for start in (points[0], points[-1]):
        theirs = get_track_length(points, 5.0, start, method="step_next")
        assert track_length(points, start, 5.0) == pytest.approx(theirs, rel=1e-4)
        theirs = get_track_length(points, 5.0, start, method="bin_pca")
        assert track_length(points, start, 5.0, "bin_pca") == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_orientation_by_dedx(seed):
    from spine.physics.tracking import check_track_orientation

    points, energy = _track(seed)
    start, end = points[0], points[-1]
    theirs = check_track_orientation(points, energy, start, end, method="local", local_radius=5.0)
    everything = Ragged.of([np.arange(len(points))])
    assert starts_by_dedx(points, energy, everything, start[None], end[None], 5.0)[0] == theirs


def test_types_by_template():
    from spine.physics.pid import TemplateParticleIdentifier

    theirs = TemplateParticleIdentifier(segment_length=5.0)
    for seed in range(4):
        points, energy = _track(seed)
        _, expected = theirs(points, energy, points[-1], points[0])
        found = track_chi2(points, energy, points[0], points[-1], visible=False)
        assert np.allclose(found, expected, rtol=0.01)


def _interaction(rng, tracks, showers, apart=0.0):
    vertex = rng.normal(0, 30, 3)
    n = tracks + showers
    shape = np.array([TRACK] * tracks + [SHOWER] * showers)
    direction = rng.normal(0, 1, (n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    gap = np.where(shape == SHOWER, rng.uniform(5, 30, n), apart)
    start = vertex + gap[:, None] * direction + rng.normal(0, 0.1, (n, 3))
    end = np.where((shape == TRACK)[:, None], start + rng.uniform(10, 60, (n, 1)) * direction, start)
    flipped = (shape == TRACK) & (rng.random(n) < 0.3)
    start, end = np.where(flipped[:, None], end, start), np.where(flipped[:, None], start, end)
    return [a.astype(np.float32) for a in (start, end, direction)] + [shape]


@pytest.mark.parametrize(
    ("tracks", "showers", "apart"),
    [(1, 0, 0), (2, 0, 0), (3, 1, 0), (4, 2, 0), (1, 1, 0), (1, 3, 5), (2, 2, 8), (3, 0, 8), (0, 2, 0), (0, 4, 0)],
)
def test_vertices(tracks, showers, apart):
    """Where particles touch at one place only: of tracks that touch others at both ends we make two places."""
    from spine.physics.vertex import get_vertex

    rng = np.random.default_rng(100 * tracks + 10 * showers + apart)
    for _ in range(30):
        start, end, direction, shape = _interaction(rng, tracks, showers, apart)
        theirs = get_vertex(start, end, direction, shape)
        assert np.allclose(find_vertex(start, end, direction, shape).position, theirs, atol=2e-2)


def test_vertices_of_two_places_far_apart():
    """The second one a decay: by starts alone, and by where most particles point away from."""
    from spine.physics.vertex import get_vertex

    rng = np.random.default_rng(5)
    for _ in range(30):
        first, second = _interaction(rng, 2, 0), _interaction(rng, 3, 1)
        start, end, direction, shape = (np.concatenate(both) for both in zip(first, second, strict=True))
        for pointing in (False, True):
            theirs = get_vertex(start, end, direction, shape, confluence_selection="pointing" if pointing else None)
            ours = find_vertex(start, end, direction, shape, pointing=pointing)
            assert np.allclose(ours.position, theirs, atol=2e-2)


def test_point_nearest_to_lines():
    from spine.physics.vertex import get_pseudovertex

    rng = np.random.default_rng(2)
    for n in (2, 3, 7):
        start = rng.normal(0, 20, (n, 3))
        direction = rng.normal(0, 1, (n, 3))
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        assert np.allclose(nearest_to_lines(start, direction), get_pseudovertex(start, direction), atol=1e-6)


@pytest.mark.parametrize("mode", ["count", "iou", "dice", "weighted_iou", "weighted_dice", "chamfer"])
def test_overlaps(mode):
    from numba.typed import List
    from spine.math import match

    rng = np.random.default_rng(1)
    coords = rng.integers(0, 40, (400, 3)).astype(np.float64)
    first = [np.sort(rng.choice(400, n, replace=False)) for n in (1, 20, 90, 200)]
    second = [np.sort(rng.choice(400, n, replace=False)) for n in (5, 60, 150)]
    ours = overlap_matrix(Ragged.of(first), Ragged.of(second), 400, mode, coords)
    given = [[coords[rows] for rows in kind] for kind in (first, second)] if mode == "chamfer" else [first, second]
    theirs = getattr(match, f"overlap_{mode}")(*(List(kind) for kind in given))
    assert np.allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("sure", [True, False])
def test_ends_of_clusters(seed, sure):
    """SPINE looks for the voxel whose corner is nearest to the point, ours for the one whose centre is: it is given
    offsets that are half a voxel less. Small ones are within a voxel either way, large ones are not."""
    torch = pytest.importorskip("torch")
    from spine.data import IndexBatch, TensorBatch
    from spine.utils.ppn import ParticlePointPredictor, ppn_raw_schema

    rng = np.random.default_rng(seed)
    voxels = np.unique(rng.integers(0, 30, (600, 3)), axis=0)
    order = rng.permutation(len(voxels))
    clusters = [np.sort(rows) for rows in np.split(order[:310], [1, 3, 60, 180])]
    shapes = np.array([SHOWER, TRACK, TRACK, MICHEL, SHOWER])
    logits = rng.normal(0, 2, (len(voxels), 2)).astype(np.float32)
    small, large = rng.uniform(-0.45, 0.95, (len(voxels), 3)), rng.uniform(1.6, 3.0, (len(voxels), 3))
    offsets = np.where(rng.random((len(voxels), 1)) < (0.5 if sure else 0.0), small, large).astype(np.float32)
    proposals = np.zeros((len(voxels), len(POINT_PROPOSALS.columns)), np.float32)
    proposals[:, :3] = offsets
    proposals[:, 3] = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    ours = cluster_ends(voxels, Ragged.of(clusters), shapes, proposals)

    given = np.concatenate([offsets - 0.5, np.zeros((len(voxels), 5), np.float32), logits], 1)
    rows = np.concatenate([np.zeros((len(voxels), 1)), voxels, np.ones((len(voxels), 1))], 1).astype(np.float32)
    count = [len(voxels)]
    predictor = ParticlePointPredictor(use_numpy=False)  # the same without two minutes of compilation
    theirs = predictor(
        TensorBatch(torch.from_numpy(rows), counts=count, has_batch_col=True, coord_cols=np.array([1, 2, 3])),
        IndexBatch(clusters, count, [len(clusters)], [len(c) for c in clusters]),
        TensorBatch(torch.from_numpy(shapes), counts=[len(clusters)]),
        TensorBatch(torch.from_numpy(given), counts=count, schema=ppn_raw_schema()),
    ).tensor.numpy()
    track = shapes == TRACK
    np.testing.assert_array_equal(np.concatenate([ours.start, ours.end], 1)[~track], theirs[~track] + 0.5)
    both = np.stack([ours.start, ours.end], 1)[track]
    far = theirs[track].reshape(-1, 2, 3) + 0.5
    # Of equally far pairs either may be taken.
    np.testing.assert_allclose(*(np.linalg.norm(x[:, 0] - x[:, 1], axis=1) for x in (both, far)), rtol=1e-6)


@pytest.mark.parametrize("same_class", [True, False])
def test_points_at_particles(same_class, monkeypatch):
    # SPINE's package of post-processors imports it for matching flashes; another test may have put a stand-in there.
    if "numexpr" not in sys.modules and importlib.util.find_spec("numexpr") is None:
        importlib.import_module("pandas")  # which would ask a stand-in for its version
        monkeypatch.setitem(sys.modules, "numexpr", types.ModuleType("numexpr"))
    from spine.data import RecoParticle, TensorData
    from spine.post.reco.ppn import PPNProcessor
    from spine.utils.ppn import ppn_prediction_schema

    rng = np.random.default_rng(3)
    points, position = rng.uniform(0, 30, (300, 3)), rng.uniform(0, 30, (40, 3))
    classes, shapes = rng.integers(0, 2, 40), np.array([SHOWER, TRACK, TRACK])
    nodes = [np.sort(rows) for rows in np.split(rng.permutation(300), [20, 120])]
    particles = [RecoParticle(points=points[rows], shape=shape) for rows, shape in zip(nodes, shapes, strict=True)]
    processor = PPNProcessor(assign_to_particles=True, restrict_shape=same_class, match_threshold=2.0)
    features = np.concatenate([np.zeros((40, 8)), classes[:, None]], 1)
    found = TensorData(features=features, coords=position, schema=ppn_prediction_schema())
    processor.ppn_predictor = lambda **_: [found]
    processor.process({"reco_particles": particles})
    ours = particle_points(points, Ragged.of(nodes), position, 2.0, *((shapes, classes) if same_class else ()))
    assert len(ours.values) > 5
    assert [rows.tolist() for rows in ours] == [particle.ppn_ids.tolist() for particle in particles]
