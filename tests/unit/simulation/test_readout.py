import numpy as np
import pytest

from weft.detector.meta import VoxelMeta
from weft.simulation.labels import Particles
from weft.simulation.readout import _claim, calibrate, read_out
from weft.simulation.settings import Labels, Response
from weft.simulation.stack import DEPOSIT

META = VoxelMeta.cube(64, 0.3)
PERFECT = Response(noise=0, threshold=0, dead_pixels=0, dead_tiles=0, lifetime=1e9, calibration_lifetime=1e9)


def cloud(n, seed=0):
    rng = np.random.default_rng(seed)
    deposits = np.zeros(n, DEPOSIT)
    for a in "xyz":
        deposits[a] = rng.uniform(-9.6, 9.6, n)
    deposits["energy"], deposits["dx"] = 0.21, 0.1
    owner = np.sort(rng.integers(0, 4, n))
    none = np.zeros(4, np.int64)
    return deposits, Particles(none, np.array([1, 0, 4, 2]), none, owner, none, none, none)


def see(response, deposits, particles, seed=1):
    return read_out(deposits, particles, META, response, Labels(), np.random.default_rng(seed))


DETECTORS = (Response(), PERFECT, Response(dead_tiles=1.0), Response(threshold=1e6))


def test_clusters_and_their_faint_rest_hold_all_deposited_energy_whatever_the_detector():
    deposits, particles = cloud(500)
    truth = np.bincount(particles.of_deposit, deposits["energy"])
    for response in DETECTORS:
        image = see(response, deposits, particles)
        owner = np.repeat(np.arange(4), image.cluster_size)
        listed = np.bincount(owner, image.cluster_energy)
        assert listed + image.faint_energy == pytest.approx(truth, rel=1e-12)
        assert np.all(image.faint_energy >= 0)


def test_clusters_list_what_counts_and_whose_each_visible_voxel_is():
    deposits, particles = cloud(500)
    response = Response(diffusion_longitudinal=40.0, diffusion_transverse=40.0)
    # With no threshold on the labels every share is listed, however small.
    args = (deposits, particles, META, response)
    every = read_out(*args, Labels(threshold=0), np.random.default_rng(1))
    image = see(response, deposits, particles)
    assert every.faint_energy.tolist() == [0, 0, 0, 0]
    assert np.array_equal(every.voxel, image.voxel)
    assert np.array_equal(every.energy, image.energy)

    def entries(of):
        owner = np.repeat(np.arange(4), of.cluster_size).tolist()
        return dict(zip(zip(owner, of.cluster_voxel.tolist(), strict=True), of.cluster_energy, strict=True))

    expected, total = {}, entries(every)
    visible = set(image.voxel.tolist())
    strong = {voxel for (_, voxel), energy in total.items() if energy >= 0.05}
    for (owner, voxel), energy in total.items():
        most = max(e for (_, v), e in total.items() if v == voxel) if voxel in visible - strong else None
        if energy >= 0.05 or energy == most:
            expected[owner, voxel] = energy
    assert entries(image) == expected
    assert visible <= set(image.cluster_voxel.tolist())
    assert len(strong) < len(expected) < len(total) / 2


def test_a_minimum_ionising_deposit_is_seen_at_its_energy():
    deposits, particles = cloud(500)
    assert see(PERFECT, deposits, particles).energy.sum() == pytest.approx(500 * 0.21, rel=1e-5)
    # 10 MeV/cm recombine more: 0.4537/0.7050
    deposits["dx"] = 0.021
    assert see(PERFECT, deposits, particles).energy.sum() == pytest.approx(500 * 0.21 * 0.4537 / 0.7050, rel=1e-3)


def test_lifetime_acts_along_the_drift_and_is_calibrated_away():
    deposits, particles = cloud(1)
    deposits["x"], deposits["y"], deposits["z"] = 9.6 - 0.15, 0.15, 0.15
    still = {"diffusion_longitudinal": 0.0, "diffusion_transverse": 0.0}
    drift = (19.2 - 0.15) / 0.16
    lost = see(PERFECT.model_copy(update=still | {"lifetime": 0.1}), deposits, particles).energy
    assert lost == pytest.approx(0.21 * np.exp(-drift / 100), rel=1e-5)
    back = see(PERFECT.model_copy(update=still | {"lifetime": 0.1, "calibration_lifetime": 0.1}), deposits, particles)
    assert back.energy == pytest.approx(0.21, rel=1e-5)


def test_threshold_and_dead_pixels_remove_voxels():
    deposits, particles = cloud(300)
    everything = see(PERFECT, deposits, particles)
    some = see(PERFECT.model_copy(update={"threshold": 3000.0}), deposits, particles)
    assert 0 < len(some.voxel) < len(everything.voxel)
    assert set(some.voxel) < set(everything.voxel)
    electrons = everything.energy * 1e6 * 0.7050 / 23.6
    assert set(some.voxel) == set(everything.voxel[electrons >= 3000.0])
    assert len(see(PERFECT.model_copy(update={"dead_tiles": 1.0}), deposits, particles).voxel) == 0


def test_noise_has_its_width():
    deposits, particles = cloud(4000)
    quiet = see(PERFECT, deposits, particles)
    noisy = see(PERFECT.model_copy(update={"noise": 100.0, "threshold": 0.0}), deposits, particles)
    common, a, b = np.intersect1d(quiet.voxel, noisy.voxel, return_indices=True)
    strong = quiet.energy[a] > 0.1
    electrons = (noisy.energy[b] - quiet.energy[a])[strong] * 1e6 * 0.7050 / 23.6
    assert len(common) > 3000
    assert np.std(electrons) == pytest.approx(100, rel=0.05)


def test_voxels_are_sorted_and_labelled():
    image = see(Response(), *cloud(800))
    assert np.all(np.diff(image.voxel) > 0)
    assert len(image.voxel) == len(image.energy) == len(image.semantics)
    assert image.energy.min() > 0
    assert set(image.semantics.tolist()) <= {0, 1, 2, 4}


def test_who_claims_a_voxel():
    """Track before Michel before shower before delta before low-energy, among those with enough energy."""
    where = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    shape = np.array([0, 1, 0, 2, 3, 0, 4, 3, 1, 4, 1, 0])
    energy = np.array([5, 1, 5, 1, 5, 1, 5, 1, 0.01, 5, 0.01, 0.02])
    assert shape[_claim(shape, energy >= 0.05, energy, where)].tolist() == [1, 2, 0, 3, 4, 0]


def test_the_calibration_is_the_nominal_one():
    """A detector with another recombination is calibrated as if it were the nominal one."""
    x = np.array([0])
    nominal = calibrate(np.array([1e4]), x, META, Response())
    assert calibrate(np.array([1e4]), x, META, Response(recombination="birks", box_beta=0.3)) == pytest.approx(nominal)
