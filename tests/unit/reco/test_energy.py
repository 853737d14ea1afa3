"""Energies, ranges, scattering: numbers known from elsewhere, or by hand."""

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.products import SHOWER, TRACK
from weft.io.reco_products import ELECTRON, KAON, MUON, PHOTON, PION, PROTON
from weft.reco.csda import dedx_at, energy_after, kinetic_of_range, range_of
from weft.reco.energy import MASSES, best_kinetic, calorimetric, kinetic, momentum
from weft.reco.scattering import highland, kinetic_of_angles, negative_log_likelihood, scattering_angles


def test_showers_are_scaled_up():
    assert calorimetric([100.0, 100.0], [TRACK, SHOWER]).tolist() == [100.0, pytest.approx(120.4819)]
    assert calorimetric([100.0], [SHOWER], scale=1.1, fudge=2.0)[0] == pytest.approx(220.0)


def test_momentum_and_back():
    assert momentum([100.0], [MUON])[0] == pytest.approx(176.4417, abs=1e-4)  # √(100² + 2·100·105.65838)
    assert momentum([100.0], [PHOTON])[0] == 100.0
    pids = np.array([PHOTON, ELECTRON, MUON, PION, PROTON, KAON])
    assert np.allclose(kinetic(momentum(np.full(6, 250.0), pids), pids), 250.0)
    assert np.isnan(momentum([100.0], [-1])[0])


def test_best_energy_is_by_range_inside_then_by_scattering_then_calorimetric():
    shape = np.array([TRACK, TRACK, TRACK, TRACK, SHOWER])
    contained = np.array([1, 0, 0, 1, 1])
    calo, csda = np.full(5, 1.0), np.array([2.0, 2.0, 2.0, np.nan, 2.0])
    mcs = np.array([3.0, 3.0, np.nan, np.nan, 3.0])
    assert best_kinetic(shape, contained, calo, csda, mcs).tolist() == [2.0, 3.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("pid", "kinetic", "grams"),
    # CSDA ranges (g/cm²) in argon: Groom, Mokhov, Striganov, Atomic Data and Nuclear Data Tables 78 (2001) 183 for
    # muons; NIST's PSTAR for protons.
    [(MUON, 100.0, 42.50), (MUON, 1000.0, 616.3), (PROTON, 100.0, 10.92), (PROTON, 1000.0, 445.4)],
)
def test_ranges_are_the_published_ones(pid, kinetic, grams):
    assert range_of(kinetic, pid) * 1.396 == pytest.approx(grams, rel=0.01)


def test_energy_of_range_and_back():
    energies = np.geomspace(1e-4, 1e5, 60)
    for pid in (MUON, PION, PROTON, KAON):
        assert np.allclose(kinetic_of_range(range_of(energies, pid), pid), energies, rtol=1e-6)
    assert range_of(0.0, MUON) == 0
    assert kinetic_of_range(0.0, MUON) == 0
    assert np.isnan(kinetic_of_range([np.nan, -1.0], MUON)).all()


def test_the_range_loses_what_the_stopping_power_says():
    """−dT/dR is the stopping power, by differences."""
    for pid in (MUON, PROTON):
        residual = np.array([1.0, 10.0, 60.0])
        step = 1e-3
        slope = (kinetic_of_range(residual + step, pid) - kinetic_of_range(residual - step, pid)) / (2 * step)
        assert np.allclose(slope, dedx_at(residual, pid), rtol=5e-4)
    assert dedx_at(100.0, MUON) == pytest.approx(2.1, rel=0.05)  # near the minimum of ionisation
    assert dedx_at(0.5, PROTON) > dedx_at(0.5, MUON) > 5


def test_a_muon_has_stopped_after_its_range():
    far = range_of(200.0, MUON)
    assert energy_after(200.0, far + 1, MUON) == 0
    assert energy_after(200.0, 0.0, MUON) == pytest.approx(200.0)
    assert energy_after(200.0, far - range_of(50.0, MUON), MUON) == pytest.approx(50.0, rel=1e-5)


def test_showers_have_no_range():
    with pytest.raises(WeftError, match="electron: expected one of muon, pion, proton, kaon"):
        range_of(100.0, ELECTRON)


def test_highland_by_hand():
    """300 MeV/c, 105.658 MeV: β = 0.94321; 14 cm is X0, where only β is left in the logarithm."""
    beta = 300 / np.hypot(300, 105.658)
    assert highland(300.0, 105.658, 14.0) == pytest.approx(13.6 / (beta * 300) * (1 - 0.076 * np.log(beta)))
    assert highland(300.0, 105.658, 0.3) == pytest.approx(6.0e-3, rel=0.03)  # specs/anchors.md: 6.0 mrad in 3 mm


def test_angles_between_segments():
    directions = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0]], float)
    assert np.allclose(scattering_angles(directions), [0, np.pi / 2, np.pi])
    tiny = np.array([[1, 0, 0], [1, 1e-9, 0]])
    assert scattering_angles(tiny)[0] == pytest.approx(1e-9)
    assert len(scattering_angles(directions[:1])) == 0


@pytest.mark.parametrize("energy", [300.0, 600.0, 1000.0])
def test_scattering_finds_the_energy_that_made_the_angles(energy):
    rng = np.random.default_rng(int(energy))
    length, resolution, found = 5.0, 0.02, []
    steps = int(range_of(energy, MUON) / length)
    left = energy_after(energy, length * np.arange(steps + 1), MUON)
    p = momentum(left, np.full(steps + 1, MUON))
    width = np.hypot(highland(np.sqrt(p[1:] * p[:-1]), 105.658, length), resolution)
    for _ in range(60):
        angles = np.hypot(*rng.normal(0, width, (2, steps)))
        found.append(kinetic_of_angles(angles, MUON, length, resolution))
    assert np.nanmedian(found) == pytest.approx(energy, rel=0.05)


def test_likelihood_of_one_angle_by_hand():
    p = momentum(energy_after(500.0, np.array([0.0, 5.0]), MUON), np.array([MUON, MUON]))
    width2 = highland(np.sqrt(p[0] * p[1]), 105.6583755, 5.0) ** 2 + 0.01**2
    expected = 0.5 * 0.05**2 / width2 + np.log(width2)
    assert negative_log_likelihood(500.0, np.array([0.05]), MUON, 5.0, 0.01)[0] == pytest.approx(expected)


def test_angles_that_do_not_say_give_nothing():
    assert np.isnan(kinetic_of_angles(np.empty(0), MUON))
    assert np.isnan(kinetic_of_angles(np.full(20, 1e-5), MUON, resolution=0.05))  # straighter than can be resolved
    assert negative_log_likelihood(10.0, np.full(9, 0.1), MUON, 5.0, 0.0)[0] == np.inf  # stops before the last


def test_many_angles_need_the_energy_to_get_there():
    angles = np.full(40, 0.5)
    assert range_of(kinetic_of_angles(angles, MUON), MUON) > 5 * 39.9


def test_likelihood_is_that_of_arrays():
    """The kernel beside the formula written with arrays, down to energies that stop on the way."""
    angles, kinetic = np.array([0.01, 0.03, 0.02, 0.2]), np.geomspace(5.0, 1e5, 50)
    left = energy_after(kinetic[:, None], 5.0 * np.arange(5), PROTON)
    p = momentum(left, np.full(left.shape, PROTON))
    between = np.sqrt(p[:, 1:] * p[:, :-1])
    alive = (between > 0).all(1)
    width2 = highland(np.where(between > 0, between, 1.0), MASSES[PROTON], 5.0) ** 2 + 0.03**2
    expected = np.where(alive, (0.5 * angles**2 / width2 + np.log(width2)).sum(1), np.inf)
    assert 0 < alive.sum() < len(alive)
    assert np.allclose(negative_log_likelihood(kinetic, angles, PROTON, 5.0, 0.03), expected, rtol=1e-9)
