import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.tasks.segmentation.neighbourhood import CELL, COARSE_RADII, FEATURES, RADII, voxel_features


def features(voxels, charge):
    """The columns of one event by name."""
    values = voxel_features(np.asarray(voxels, np.int32), np.asarray(charge, np.float32))
    assert values.shape == (len(voxels), len(FEATURES))
    assert values.dtype == np.float32
    return dict(zip(FEATURES, values.T, strict=True))


def cloud(seed, n=60, size=12):
    """Distinct voxels in random order with random charges."""
    rng = np.random.default_rng(seed)
    flat = rng.choice(size**3, n, replace=False)
    return np.stack(np.unravel_index(flat, (size,) * 3), axis=1), rng.gamma(2, 0.3, n).astype(np.float32)


def test_straight_line_by_hand():
    line = np.stack([np.arange(11), np.zeros(11), np.zeros(11)], axis=1)
    f = features(line, np.full(11, 2.0))
    # Within 3 voxels of the middle lie 7 voxels, of variance (7² - 1) / 12 = 4.
    assert f["count_3"][5] == 7
    assert f["charge_3"][5] == 14
    assert f["charge_per_voxel_3"][5] == 2
    assert f["charge_spread_3"][5] == 0
    assert f["charge_per_length_3"][5] == pytest.approx(2)
    assert f["spread_3"][5] == pytest.approx(2)
    assert [f[f"{shape}_3"][5] for shape in ("linearity", "planarity", "sphericity")] == pytest.approx(
        [1, 0, 0], abs=1e-6
    )
    assert f["offset_3"][[0, 5, 10]].tolist() == [1.5, 0, 1.5]  # at an end the centroid is 1.5 voxels inside
    assert (f["piece_voxels_1.75"] == 11).all()
    assert (f["piece_charge_1.75"] == 22).all()
    assert f["piece_extent_1.75"] == pytest.approx(np.sqrt(11**2 + 1 + 1))
    assert f["end_distance"].tolist() == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
    assert f["other_end_distance"].tolist() == [10, 9, 8, 7, 6, 5, 6, 7, 8, 9, 10]
    assert (f["piece_length"] == 10).all()
    assert (f["branch_length"] == 0).all()
    assert (f["event_voxels"] == 11).all()


def test_plane_and_ball_by_hand():
    plane = np.stack(np.meshgrid(np.arange(9), np.arange(9), [4], indexing="ij"), axis=-1).reshape(-1, 3)
    f = features(plane, np.ones(len(plane)))
    middle = np.flatnonzero((plane == [4, 4, 4]).all(axis=1))[0]
    assert [f[f"{shape}_3"][middle] for shape in ("linearity", "planarity", "sphericity")] == pytest.approx(
        [0, 1, 0], abs=1e-6
    )
    block = np.stack(np.meshgrid(*[np.arange(7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    f = features(block, np.ones(len(block)))
    middle = np.flatnonzero((block == 3).all(axis=1))[0]
    assert f["count_1.75"][middle] == 27
    assert [f[f"{shape}_3"][middle] for shape in ("linearity", "planarity", "sphericity")] == pytest.approx(
        [0, 0, 1], abs=1e-6
    )


def test_branch_and_bragg_peak_by_hand():
    trunk = np.stack([np.arange(21), np.zeros(21), np.zeros(21)], axis=1)
    branch = np.stack([np.full(5, 10), np.arange(2, 7), np.zeros(5)], axis=1)
    joint = [[10, 1, 0]]
    charge = np.ones(27)
    charge[18:21] = 5
    f = features(np.concatenate([trunk, joint, branch]), charge)
    assert (f["piece_length"] == 20).all()
    # A branch begins with a diagonal step from (9, 0) or (11, 0) to (10, 1).
    reach = np.array([4, 3, 2, 1, 0])[::-1]
    assert f["branch_length"][22:] == pytest.approx(np.sqrt(2) + 1 + reach - 1)
    assert (f["branch_length"][:21] == 0).all()
    # Most charge within 3 voxels: 3·5 + 4 at voxel 17, which reaches from 14 to 20.
    assert f["peak_charge"] == pytest.approx(19)
    assert f["peak_distance"][[17, 0, 20]].tolist() == [0, 17, 3]
    assert f["end_charge"][[0, 20]].tolist() == [4, 16]
    assert f["other_end_charge"][[0, 20]].tolist() == [16, 4]


def test_pieces_apart_know_nothing_of_each_other_up_close():
    left = np.stack([np.arange(4), np.zeros(4), np.zeros(4)], axis=1)
    right = left + np.array([8, 0, 0])
    f = features(np.concatenate([left, right]), np.ones(8))
    assert (f["piece_voxels_1.75"] == 4).all()
    assert (f["piece_voxels_5"] == 8).all()  # 5 voxels apart
    assert (f["piece_length"] == 3).all()
    far = features(np.concatenate([left, left + np.array([9, 0, 0])]), np.ones(8))
    assert (far["piece_voxels_5"] == 4).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_equal_to_brute_force(seed):
    voxels, charge = cloud(seed)
    f = features(voxels, charge)
    distance = np.linalg.norm(voxels[:, None] - voxels[None], axis=-1)
    for radius in RADII:
        for i in range(0, len(voxels), 7):
            near = distance[i] <= radius
            points, q = voxels[near], charge[near].astype(np.float64)
            l3, l2, l1 = np.linalg.eigvalsh(np.cov(points.T, bias=True).reshape(3, 3)) if len(points) > 1 else (0, 0, 0)
            expected = {
                "count": len(points), "charge": q.sum(), "charge_per_voxel": q.mean(), "charge_spread": q.std(),
                "charge_per_length": q.sum() / np.sqrt(12 * l1 + 1), "spread": np.sqrt(max(l1 + l2 + l3, 0)),
                "pull": np.linalg.norm(np.average(points, axis=0, weights=q) - voxels[i]),
                "offset": np.linalg.norm(points.mean(axis=0) - voxels[i]),
            }  # fmt: skip
            if l1 > 1e-9:
                expected |= {"linearity": (l1 - l2) / l1, "planarity": (l2 - l3) / l1, "sphericity": l3 / l1}
            for name, value in expected.items():
                assert f[f"{name}_{radius:g}"][i] == pytest.approx(value, abs=2e-5, rel=2e-5), (name, radius)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_features_of_the_surroundings_are_means_and_maxima_of_those_of_the_voxels(seed):
    voxels, charge = cloud(seed, n=100, size=25)
    f = features(voxels, charge)
    near = np.linalg.norm(voxels[:, None] - voxels[None], axis=-1) <= 8
    peak = np.where(near, f["charge_3"][None], 0).max(axis=1)
    np.testing.assert_allclose(f["peak_charge_8"], peak, rtol=1e-6)
    np.testing.assert_allclose(f["mean_peak_charge_8"], near @ peak / near.sum(axis=1), rtol=1e-5)
    cell = (voxels - voxels.min(axis=0)) // CELL
    near_cell = CELL * np.linalg.norm(cell[:, None] - cell[None], axis=-1) <= 16
    highest = np.where(near_cell, f["charge_3"][None], 0).max(axis=1)
    np.testing.assert_allclose(f["peak_charge_16"], highest, rtol=1e-6)
    for name in ("linearity_5", "offset_5", "charge_per_length_3"):
        for radius, close in ((8, near), (16, near_cell)):
            expected = close @ f[name].astype(np.float64) / close.sum(axis=1)
            np.testing.assert_allclose(f[f"mean_{name}_{radius}"], expected, rtol=1e-5, atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_coarse_neighbourhoods_are_sums_over_cells(seed):
    voxels, charge = cloud(seed, n=150, size=60)
    f = features(voxels, charge)
    cell = (voxels - voxels.min(axis=0)) // CELL
    distance = CELL * np.linalg.norm(cell[:, None] - cell[None], axis=-1)
    for radius in COARSE_RADII:
        near = distance <= radius
        np.testing.assert_array_equal(f[f"count_{radius:g}"], near.sum(axis=1))
        np.testing.assert_allclose(f[f"charge_{radius:g}"], near @ charge.astype(np.float64), rtol=1e-5)


@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(-2000, 2000)] * 3))
@settings(max_examples=20, deadline=None)
def test_moving_an_event_changes_no_bit(seed, shift):
    voxels, charge = cloud(seed)
    np.testing.assert_array_equal(voxel_features(voxels, charge), voxel_features(voxels + shift, charge))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_order_of_voxels_changes_no_bit(seed):
    voxels, charge = cloud(seed)
    order = np.random.default_rng(seed).permutation(len(voxels))
    np.testing.assert_array_equal(voxel_features(voxels, charge)[order], voxel_features(voxels[order], charge[order]))


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("charge", [1, 0])
def test_tiny_events(n, charge):
    voxels = np.array([[3, 4, 5], [100, 4, 5]])[:n]
    values = voxel_features(voxels, np.full((n, 1), charge, np.float32))
    assert values.shape == (n, len(FEATURES))
    assert np.isfinite(values).all()
