import numpy as np
import pytest

from weft.detector.charge import birks, modified_box, spread, survival


# Values of specs/anchors.md §5.3 at 500 V/cm.
@pytest.mark.parametrize(("dedx", "escape"), [(2.1, 0.705), (5.0, 0.59), (10.0, 0.45), (20.0, 0.32)])
def test_modified_box(dedx, escape):
    assert modified_box(np.array(dedx), 0.93, 0.212, 0.5) == pytest.approx(escape, abs=0.006)


def test_birks_by_hand():
    # 0.8 / (1 + 0.0486·2.1/(1.396·0.5)) = 0.8 / 1.146218
    assert birks(np.array(2.1), 0.8, 0.0486, 0.5) == pytest.approx(0.697947, abs=1e-6)


MODELS = [lambda d: modified_box(d, 0.93, 0.212, 0.5), lambda d: birks(d, 0.8, 0.0486, 0.5)]


@pytest.mark.parametrize("model", MODELS)
def test_more_ionisation_recombines_more(model):
    escape = model(np.geomspace(1e-9, 200, 300))
    assert np.all(np.diff(escape) <= 0)
    assert np.all(np.diff(model(np.geomspace(1.6, 200, 300))) < 0)
    assert np.all((escape > 0) & (escape <= 1))


def test_the_modified_box_is_held_below_its_maximum():
    xi = np.linspace(0.1, 2, 200001)
    curve = np.log(0.93 + xi) / xi
    peak = xi[curve.argmax()] * 1.396 * 0.5 / 0.212  # MeV/cm
    assert peak == pytest.approx(1.537, abs=0.001)
    escape = modified_box(np.array([0.0, 1.0, peak, 1.1 * peak]), 0.93, 0.212, 0.5)
    assert escape[:3] == pytest.approx(curve.max(), abs=1e-9)
    assert escape[3] < curve.max()


def test_lifetime_and_diffusion():
    assert survival(np.array(6000.0), 6.0) == pytest.approx(np.exp(-1))
    # √(2 · 12 cm²/s · 1.35 ms) = 1.8 mm; 7.2 cm²/s: 1.4 mm (specs/anchors.md §5.3)
    assert spread(np.array([1350.0, 0.0]), 12.0) == pytest.approx([0.18, 0.0])
    assert spread(np.array(1350.0), 7.2) == pytest.approx(0.1394, abs=1e-4)
