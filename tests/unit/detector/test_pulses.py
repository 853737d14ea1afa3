import numpy as np
import pytest

from weft.detector.pulses import add_pulses, shares_across


def pulse(wire, row, charge, width, across, shape=(20, 40)):
    image = np.zeros(shape)
    add_pulses(image, np.array(wire), np.array(row, float), np.array(charge, float), width, shares_across(across))
    return image


def test_a_pulse_without_width_is_one_pixel():
    image = pulse([3], [7.9], [100], 0.0, 0.0)
    assert image[3, 7] == 100
    assert image.sum() == 100


def test_a_pulse_by_hand():
    """Row edge 0.5 σ after the centre: Φ(0.5) = 0.691462 of the charge lies before it; Φ(−1.5) = 0.066807."""
    image = pulse([5], [10.75], [1.0], 0.5, 0.0)
    assert image[5, :11].sum() == pytest.approx(0.691462, abs=1e-6)
    assert image[5, :10].sum() == pytest.approx(0.066807, abs=1e-6)
    assert image[5, 12] == pytest.approx(1 - 0.993790, abs=1e-6)  # Φ(2.5)


def test_shares_across_wires():
    assert shares_across(0.0).tolist() == [1.0]
    shares = shares_across(0.4)
    assert shares.sum() == pytest.approx(1, abs=1e-15)
    assert shares[3] / shares[2] == pytest.approx(np.exp(-0.5 / 0.16))
    wire = np.arange(len(shares_across(1.5))) - len(shares_across(1.5)) // 2
    assert np.sqrt(shares_across(1.5) @ wire**2) == pytest.approx(1.5, rel=1e-3)


def test_charge_is_conserved_and_pulses_add_up():
    rng = np.random.default_rng(1)
    wire, row, charge = rng.integers(5, 15, 200), rng.uniform(10, 30, 200), rng.uniform(0, 9, 200)
    image = pulse(wire, row, charge, 0.8, 0.5)
    assert image.sum() == pytest.approx(charge.sum(), rel=1e-13)
    singly = sum(pulse([w], [r], [q], 0.8, 0.5) for w, r, q in zip(wire, row, charge, strict=True))
    assert np.allclose(image, singly, rtol=1e-12)
    mean = image.sum(0) @ (np.arange(40) + 0.5) / charge.sum()
    assert mean == pytest.approx(row @ charge / charge.sum(), abs=1e-3)


def test_what_lies_outside_is_lost():
    assert pulse([-1], [5.5], [1.0], 0.5, 0.3).sum() == 0
    assert pulse([4], [-30.0], [1.0], 0.5, 0.3).sum() == 0
    assert pulse([4], [80.0], [1.0], 0.5, 0.3).sum() == 0
    assert pulse([4], [0.0], [1.0], 0.5, 0.0).sum() == pytest.approx(0.5)
    half = (1 + shares_across(1.0).max()) / 2
    assert pulse([0], [20.0], [1.0], 0.5, 1.0).sum() == pytest.approx(half)
    assert pulse([19], [20.0], [1.0], 0.5, 1.0).sum() == pytest.approx(half)
