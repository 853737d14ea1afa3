"""Where simulated objects are: exact distances, volumes, and what is labelled."""

import numpy as np
import pytest

from weft.simulation.stacks.blobs import draw_blobs
from weft.simulation.stacks.drawing import Grid, share_inside
from weft.simulation.stacks.filaments import chain, distance_to, draw_filaments
from weft.simulation.stacks.settings import Blobs, Filaments, Shells
from weft.simulation.stacks.shells import draw_shells

GRID = Grid((40, 80, 80), (0.2, 0.1, 0.1))
CUBE = Grid((80, 80, 80), (0.1, 0.1, 0.1))
VOXEL = 0.2 * 0.1 * 0.1


def rng(seed=0):
    return np.random.default_rng(seed)


def whole(drawn, grid, of="inside"):
    full = np.zeros(grid.shape, getattr(drawn, of).dtype)
    full[drawn.box] = getattr(drawn, of)
    return full


def test_boxes_hold_the_centres_of_their_voxels():
    box = GRID.box(np.array([0.19, -1, 7.85]), np.array([0.61, 0.05, 99]))
    assert box == (slice(1, 4), slice(0, 1), slice(79, 80))
    assert GRID.box(np.array([0.01, 0, 0]), np.array([0.19, 5, 5])) is None, "between two slices"
    assert GRID.box(np.array([9, 0, 0]), np.array([10, 5, 5])) is None, "beyond the stack"
    z, y, x = GRID.centres(box)
    assert (z.shape, y.shape, x.shape) == ((3, 1, 1), (1, 1, 1), (1, 1, 1))
    np.testing.assert_allclose(z.ravel(), [0.2, 0.4, 0.6])


def test_the_share_of_a_voxel_within_a_surface():
    np.testing.assert_allclose(share_inside(np.array([-1, -0.05, -0.025, 0, 0.05, 1]), 0.1), [1, 1, 0.75, 0.5, 0, 0])


def test_a_blob_is_a_ball():
    options = Blobs(kind="blobs", count=(200, 200), diameter=(1.2, 1.2))
    balls = [d for d in draw_blobs(options, 1, GRID, rng()) if all(p.start > 0 for p in d.box)]
    inner = [d for d in balls if all(p.stop < n for p, n in zip(d.box, GRID.shape, strict=True))]
    assert len(inner) > 20
    volumes = np.array([d.inside.sum() * VOXEL for d in inner])
    expected = np.pi / 6 * 1.2**3
    assert volumes.mean() == pytest.approx(expected, rel=0.02)
    assert np.mean([d.stained.sum() * VOXEL for d in inner]) == pytest.approx(expected, rel=0.03), "what glows is too"
    larger = next(iter(draw_blobs(options, 2, CUBE, rng(3))))
    assert np.ptp(np.argwhere(larger.inside), axis=0).max() <= 24


def test_a_smooth_shell_is_an_ellipsoid_of_its_thickness():
    options = Shells(
        kind="shells", count=(1, 1), diameter=(4, 4), height=(0.5, 0.5), elongation=(1, 1), thickness=0.4, lumen=0,
        irregularity=0,
    )  # fmt: skip
    for seed in range(20):
        shell = next(iter(draw_shells(options, 1, GRID, rng(seed))))
        filled = next(iter(draw_shells(options.model_copy(update={"marks": "filled"}), 1, GRID, rng(seed))))
        if all(p.start > 0 and p.stop < n for p, n in zip(shell.box, GRID.shape, strict=True)):
            break
    points = np.argwhere(whole(filled, GRID)) * GRID.spacing
    np.testing.assert_allclose(np.ptp(points, axis=0), [2.4, 4.4, 4.4], atol=0.25)
    assert filled.inside.sum() * VOXEL == pytest.approx(4 / 3 * np.pi * 2.2 * 2.2 * 1.2, rel=0.03)
    hollow = filled.inside & ~shell.inside
    assert hollow.sum() * VOXEL == pytest.approx(4 / 3 * np.pi * 1.8 * 1.8 * 0.8, rel=0.05)
    assert not shell.inside[tuple(n // 2 for n in shell.inside.shape)], "the middle is empty"
    assert (shell.stained[hollow] <= 0.5).all()


def test_nuclei_keep_their_distance_and_there_are_as_many_as_fit():
    options = Shells(kind="shells", count=(50, 50), diameter=(2, 3), gap=0.2, marks="filled", irregularity=0)
    filled = [whole(d, GRID) for d in draw_shells(options, 1, GRID, rng(1))]
    assert 2 < len(filled) < 50
    assert np.sum(filled, axis=0).max() == 1


def test_bumps_keep_the_size_and_are_no_spikes():
    smooth = Shells(kind="shells", count=(1, 1), marks="filled", irregularity=0, diameter=(3, 3))
    bumpy = smooth.model_copy(update={"irregularity": 0.1})
    one, two = (whole(next(iter(draw_shells(o, 1, CUBE, rng(7)))), CUBE) for o in (smooth, bumpy))
    assert 0 < (one != two).sum() < 0.5 * one.sum()
    assert two.sum() == pytest.approx(one.sum(), rel=0.25)


def test_distances_to_points_are_those_of_a_loop():
    points = rng(2).uniform(0, 1, (30, 3)) * GRID.extent
    box = (slice(3, 30), slice(0, 60), slice(5, 80))
    found = distance_to(points, 0.5, GRID, box)
    z, y, x = np.broadcast_arrays(*GRID.centres(box))
    voxels = np.stack([z, y, x], -1).reshape(-1, 3)
    brute = np.min([np.linalg.norm(voxels - point, axis=1) for point in points], axis=0).reshape(found.shape)
    np.testing.assert_allclose(found, np.minimum(brute, 0.5))
    assert (found < 0.5).any()


def test_a_chain_has_its_length_and_its_persistence():
    lengths, cosines = [], []
    for seed in range(200):
        points = chain(4.0, 0.1, 2.0, 1.0, rng(seed))
        steps = np.diff(points, axis=0)
        lengths.append(np.linalg.norm(steps, axis=1).sum())
        cosines.append(steps[0] @ steps[20] / np.linalg.norm(steps[0]) / np.linalg.norm(steps[20]))
    np.testing.assert_allclose(lengths, 4.0)
    # Directions two persistence lengths' thirds apart: <cos> = exp(−s / P) with two transverse axes of variance s / P.
    assert np.mean(cosines) == pytest.approx(np.exp(-2.0 / 2.0), abs=0.1)


def test_flat_filaments_stay_in_their_slice():
    points = chain(10.0, 0.1, 2.0, 0.0, rng(3))
    assert np.ptp(points[:, 0]) == 0
    assert np.ptp(points[:, 1:], axis=0).min() > 0


def test_a_filament_is_a_tube():
    options = Filaments(kind="filaments", count=(40, 40), length=(5, 5), radius=0.4, tilt=0, persistence=1000)
    volumes = []
    for drawn in draw_filaments(options, 1, CUBE, rng(4)):
        full = whole(drawn, CUBE)
        faces = [full.take(k, axis).any() for axis in range(3) for k in (0, 79)]
        if not any(faces):
            volumes.append(full.sum() * 1e-3)
    assert volumes
    assert np.mean(volumes) == pytest.approx(np.pi * 0.16 * 5 + 4 / 3 * np.pi * 0.064, rel=0.04)


def test_objects_beyond_a_tiny_stack():
    tiny = Grid((1, 3, 3), (1.0, 0.1, 0.1))
    for options, draw in (
        (Blobs(kind="blobs"), draw_blobs),
        (Filaments(kind="filaments"), draw_filaments),
        (Shells(kind="shells"), draw_shells),
    ):
        for drawn in draw(options, 1, tiny, rng(5)):
            assert drawn.inside.shape == drawn.stained.shape
            assert whole(drawn, tiny).shape == tiny.shape
