"""Classical filters: each answers in the middle of its structure, in µm, and against scipy and scikit-image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_laplace

from weft.volumes.filters import _eigenvalues, blobness, curvature, in_voxels, plateness, top_hat, vesselness

SHAPE = (24, 40, 40)


def places(spacing=(1.0, 1.0, 1.0)):
    middle = [(n - 1) / 2 for n in SHAPE]
    return [(np.arange(n) - m) * s for n, m, s in zip(SHAPE, middle, spacing, strict=True)]


def structures():
    z, y, x = np.meshgrid(*places(), indexing="ij")
    ball = (np.sqrt(z**2 + y**2 + x**2) < 3).astype(np.float32)
    tube = (np.sqrt(z**2 + y**2) < 2).astype(np.float32)
    plate = (np.abs(z) < 1.6).astype(np.float32)
    return {"ball": ball, "tube": tube, "plate": plate}


@pytest.mark.parametrize(("answer", "most"), [(blobness, "ball"), (vesselness, "tube"), (plateness, "plate")])
def test_a_filter_answers_most_to_its_structure(answer, most):
    middle = (slice(10, 14), slice(18, 22), slice(18, 22))
    reached = {name: float(answer(curvature(v, (1.7,) * 3))[middle].max()) for name, v in structures().items()}
    assert max(reached, key=reached.get) == most


def test_dark_structures_and_flat_stacks_have_no_answer():
    dark = curvature(1 - structures()["tube"], (1.5,) * 3)
    middle = (slice(12, 13), slice(20, 21), slice(None))
    assert not vesselness(dark)[middle].any()
    flat = curvature(np.full(SHAPE, 3, np.float32), (1.5,) * 3)
    assert not vesselness(flat).any()
    assert not plateness(flat).any()


def test_blobness_is_minus_the_laplacian_normalised_by_scale():
    volume = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    expected = -4 * gaussian_laplace(volume.astype(float), 2, mode="nearest", truncate=3)
    np.testing.assert_allclose(blobness(curvature(volume, (2, 2, 2))), expected, atol=1e-5)


def test_eigenvalues_are_those_of_lapack():
    matrices = np.random.default_rng(1).normal(size=(200, 3, 3))
    matrices += matrices.transpose(0, 2, 1)
    matrices[0], matrices[1] = 2 * np.eye(3), 0
    found = _eigenvalues(*(matrices[:, i, j] for i in range(3) for j in range(i, 3)))
    np.testing.assert_allclose(np.sort(found, axis=0), np.linalg.eigvalsh(matrices).T, atol=1e-9)


def test_the_first_eigenvalue_is_the_strongest():
    found = curvature(np.random.default_rng(2).random((6, 12, 12)).astype(np.float32), (1, 1.5, 1.5))
    assert (np.abs(found.strong) >= np.abs(found.middle)).all()
    assert (np.abs(found.middle) >= np.abs(found.weak)).all()


def test_sizes_are_those_of_the_specimen():
    """A round blob in a stack with coarse planes looks like one to a filter in µm."""
    spacing = (0.5, 0.25, 0.25)
    z, y, x = np.meshgrid(*places(spacing), indexing="ij")
    volume = np.exp(-(z**2 + y**2 + x**2) / 2).astype(np.float32)
    found = curvature(volume, in_voxels(1.0, spacing))
    middle = [np.asarray(part)[11:13, 19:21, 19:21].mean() for part in found]
    np.testing.assert_allclose(middle, np.mean(middle), rtol=0.05)
    assert in_voxels(2.0, (np.nan,) * 3) == (2.0, 2.0, 2.0)


def test_a_top_hat_keeps_what_is_narrow():
    volume = np.linspace(0, 100, 40, dtype=np.float32)[None, None] + np.zeros(SHAPE, np.float32)
    volume[12, 20, 10] += 50
    found = top_hat(volume, (2, 4, 4))
    assert found[12, 20, 10] == pytest.approx(50, abs=5)
    assert np.median(found) < 12
    assert top_hat(volume[:1], (2, 4, 4)).shape == (1, 40, 40)
