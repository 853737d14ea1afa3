"""Simulated stacks: light, noise, truth, and that they are functions of (settings, seed, index)."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from weft.config.loading import ConfigError
from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.store import EventStore
from weft.simulation.stacks.cost import borders, cost_map, star
from weft.simulation.stacks.optics import counts, light, patchy, uneven
from weft.simulation.stacks.produce import simulate_folder
from weft.simulation.stacks.settings import Camera, CostMap, Optics, StackSettings
from weft.simulation.stacks.stack import consecutive, simulate_stack

SMALL = {"shape": (8, 32, 32), "size": 0.3}
PLAIN = {"haze": 0, "background": 0, "unevenness": 0, "vignetting": 0, "bleaching": 0, "patchiness": 0}


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_stack_is_a_function_of_its_settings_seed_and_number():
    settings = StackSettings.parse(SMALL)
    one = simulate_stack(settings, 3, 7)
    assert (one.image.shape, one.image.dtype, one.labels.dtype) == ((1, 8, 32, 32), np.uint16, np.int16)
    for again, same in (((3, 7), True), ((3, 8), False), ((4, 7), False)):
        other = simulate_stack(settings, *again)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)) is same


@pytest.mark.parametrize(
    "changed",
    [{"camera": {"photons": 10}}, {"camera": {"dtype": "float32"}}, {"optics": {"bleaching": 0.9, "patchiness": 0.0}},
     {"cost": {"excluded": [2, 2]}}],
    ids=str,
)  # fmt: skip
def test_another_microscope_sees_the_same_structures(changed):
    one = simulate_stack(StackSettings.parse(SMALL), 1, 0)
    other = simulate_stack(StackSettings.parse(SMALL | changed), 1, 0)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.instances, other.instances)
    if "cost" in changed:
        np.testing.assert_array_equal(one.image, other.image)
        assert (other.cost == 0).any()
    else:
        assert not np.array_equal(one.image, other.image)


def test_what_is_labelled_and_what_is_only_seen():
    shell = {"kind": "shells", "label": 2, "count": [2, 2], "lumen": 0}
    debris = {"kind": "blobs", "label": 0, "count": [30, 30], "brightness": [5, 5]}
    unknown = {"kind": "blobs", "label": -1, "count": [3, 3], "brightness": [0, 0]}
    base = SMALL | {"optics": PLAIN, "camera": {"photons": 1000, "read_noise": 0}}
    alone = simulate_stack(StackSettings.parse(base | {"structures": [shell]}), 1, 0)
    more = simulate_stack(StackSettings.parse(base | {"structures": [shell, debris]}), 1, 0)
    some = simulate_stack(StackSettings.parse(base | {"structures": [shell, unknown]}), 1, 0)
    assert set(np.unique(alone.labels)) == {0, 2}
    np.testing.assert_array_equal(alone.labels > 0, alone.instances > 0)
    np.testing.assert_array_equal(alone.labels, more.labels)
    assert more.image.astype(float).sum() > 1.1 * alone.image.astype(float).sum()
    assert set(np.unique(some.labels)) == {-1, 0, 2}
    assert (some.instances[some.labels == -1] == 0).all()
    inside, outside = alone.image[0][alone.labels == 2], alone.image[0][alone.labels == 0]
    assert np.median(inside) > 3 * np.median(outside)


def test_channels_see_their_own_structures():
    structures = [{"kind": "shells", "channel": 0}, {"kind": "blobs", "channel": 1, "label": 2, "count": [4, 4]}]
    settings = StackSettings.parse(
        SMALL | {"structures": structures, "optics": PLAIN, "camera": {"photons": 500, "read_noise": 0, "offset": 0}}
    )
    stack = simulate_stack(settings, 2, 0)
    assert stack.image.shape[0] == 2
    only = stack.labels == 2
    assert stack.image[1][only].mean() > 5 * max(stack.image[1][stack.labels == 1].mean(), 1)


def test_the_size_knob_scales_all_lengths():
    one = {"kind": "blobs", "count": [1, 1], "diameter": [1.0, 1.0]}
    volumes = []
    for size in (1.0, 2.0):
        settings = StackSettings.parse({"shape": (40, 80, 80), "structures": [one], "size": size})
        volumes.append(max((simulate_stack(settings, 1, k).labels > 0).sum() for k in range(6)))
    assert volumes[1] == pytest.approx(8 * volumes[0], rel=0.1)


def test_a_point_becomes_the_point_spread_function():
    point = np.zeros((1, 21, 41, 41), np.float32)
    point[0, 10, 20, 20] = 1
    optics = Optics(**PLAIN | {"psf": (0.4, 0.2, 0.2)})
    seen = light(point, optics, (0.2, 0.1, 0.1), rng())[0]
    np.testing.assert_allclose(seen, gaussian_filter(point[0], (2, 2, 2), mode="constant"), atol=1e-7)
    z = np.arange(21) - 10
    width = np.sqrt((seen.sum((1, 2)) * z**2).sum() / seen.sum()) * 0.2
    assert width == pytest.approx(0.4, rel=0.02)


def test_bleaching_vignetting_and_background():
    flat = np.zeros((1, 5, 9, 9), np.float32)
    seen = light(flat, Optics(**PLAIN | {"background": 2.0, "bleaching": 0.36}), (1, 1, 1), rng())[0]
    np.testing.assert_allclose(seen[:, 4, 4], 2 * 0.64 ** np.linspace(0, 1, 5), rtol=1e-6)
    seen = light(flat, Optics(**PLAIN | {"background": 2.0, "vignetting": 0.5}), (1, 1, 1), rng())[0]
    np.testing.assert_allclose(seen[0, [0, 4, 4], [0, 4, 0]], [1.0, 2.0, 1.5], rtol=1e-6)
    seen = light(flat, Optics(**PLAIN | {"background": 2.0, "unevenness": 0.5}), (1, 1, 1), rng())[0]
    assert 1 <= seen.min() < 1.3 or 2.7 < seen.max() <= 3
    assert np.abs(uneven((20, 30), rng(1))).max() == pytest.approx(1)
    assert uneven((1, 1), rng(1)).shape == (1, 1)


def test_haze_is_light_of_the_structures_far_away():
    point = np.zeros((1, 31, 31, 31), np.float32)
    point[0, 15, 15, 15] = 1
    plain, hazy = (
        light(point, Optics(**PLAIN | {"haze": haze, "haze_width": 3.0}), (1, 1, 1), rng())[0] for haze in (0, 0.5)
    )
    assert hazy.sum() == pytest.approx(1.5 * plain.sum(), rel=0.01)
    assert hazy[15, 15, 21] > plain[15, 15, 21] + 1e-4


def test_patches_vary_the_staining_by_their_spread():
    glow = np.ones((1, 40, 40, 40), np.float32)
    field = np.log(patchy(glow, Optics(patchiness=0.3, patch_size=0.2), (0.1, 0.1, 0.1), rng()))
    assert field.std() == pytest.approx(0.3, rel=1e-3)
    assert np.corrcoef(field[0, :, :, :-1].ravel(), field[0, :, :, 1:].ravel())[0, 1] > 0.8, "smooth"
    assert patchy(glow, Optics(patchiness=0), (1, 1, 1), rng()) is glow
    one = np.ones((1, 1, 1, 1), np.float32)
    assert np.isfinite(patchy(one, Optics(patchiness=1.0), (1, 1, 1), rng())).all()


def test_noise_is_poisson_then_gaussian():
    light_on = np.full((1, 20, 100, 100), 0.5, np.float32)
    camera = Camera(photons=80, gain=3, offset=100, read_noise=5, dtype="float32")
    values = counts(light_on, camera, rng())
    assert values.mean() == pytest.approx(100 + 3 * 40, rel=1e-3)
    assert values.var() == pytest.approx(9 * 40 + 25, rel=0.02)
    whole = counts(light_on, camera.model_copy(update={"dtype": "uint8"}), rng())
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole, np.clip(np.rint(values), 0, 255).astype(np.uint8))


def test_cost_maps():
    labels = np.zeros((3, 40, 40), np.int16)
    labels[1:, 10:20, 10:20] = 1
    brute = np.zeros(labels.shape, bool)
    for at in np.ndindex(*labels.shape):
        for axis in range(3):
            for step in (-1, 1):
                near = list(at)
                near[axis] += step
                if 0 <= near[axis] < labels.shape[axis] and labels[tuple(near)] != labels[at]:
                    brute[at] = True
    np.testing.assert_array_equal(borders(labels), brute)
    assert (cost_map(labels, CostMap(), rng()) == 1).all()
    weighted = cost_map(labels, CostMap(border=3), rng())
    assert set(np.unique(weighted[brute])) == {3}
    assert set(np.unique(weighted[~brute])) == {1}
    cost = cost_map(labels, CostMap(border=3, excluded=(2, 2)), rng(1))
    assert (cost == 0).any()
    assert ((cost == 0) == (cost == 0)[0]).all(), "through all slices"
    around = star((200, 200), (0.2, 0.2), rng(2))
    # A regular polygon of nine corners, unless the sides of the stack cut it.
    area = 9 / 2 * np.sin(2 * np.pi / 9) * 40**2
    assert around.sum() <= 1.02 * area
    assert max(star((200, 200), (0.2, 0.2), rng(k)).sum() for k in range(9)) == pytest.approx(area, rel=0.02)


def test_hidden_objects_have_no_number():
    np.testing.assert_array_equal(consecutive(np.array([0, 3, 3, 7, 0])), [0, 1, 1, 2, 0])
    np.testing.assert_array_equal(consecutive(np.zeros(3, np.int32)), [0, 0, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": [0, 5, 5]}, r"shape \(0, 5, 5\): expected 1 to 8192"),
        ({"spacing": [0.1, 0, 0.1]}, "expected lengths above 0"),
        ({"structures": [{"kind": "blobs", "channel": 1}]}, r"channels \[1\]: expected 0 and those that follow"),
        ({"structures": [{"kind": "blobs", "count": [5, 2]}]}, r"count \(5, 2\)"),
        ({"structures": [{"kind": "shells", "height": [0.5, 9]}]}, r"height \(0.5, 9\)"),
        ({"structures": [{"kind": "cubes"}]}, "kind|cubes"),
        ({"optics": {"hase": 1}}, "hase.*haze"),
        ({"optics": {"psf": [-1, 0, 0]}}, "widths of 0 or more"),
    ],
)
def test_settings_that_are_impossible(values, message):
    with pytest.raises(ConfigError, match=message):
        StackSettings.parse(values)


def test_a_folder_is_written_whole_and_converts_to_the_same_arrays(tmp_path):
    settings = StackSettings.parse(SMALL)
    seen = []
    path = simulate_folder(settings, 5, 2, 3, tmp_path / "0000.stacks", progress=lambda *n: seen.append(n))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(list(path.glob("*.tif"))) == 12
    assert json.loads((path / "provenance.json").read_text())["seeds"] == {"seed": 5}
    again = simulate_folder(settings, 5, 2, 3, tmp_path / "again.stacks", processes=2)
    for file in path.glob("*.tif"):
        assert file.read_bytes() == (again / file.name).read_bytes()
    convert_file(path, tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store.events[["run", "subrun", "event"]].tolist() == [(1, 5, 2), (1, 5, 3), (1, 5, 4)]
        for i in range(3):
            stack = simulate_stack(settings, 5, 2 + i)
            for name in ("image", "labels", "instances", "cost"):
                np.testing.assert_array_equal(store[name][i][:], getattr(stack, name))


def test_a_folder_replaces_the_one_before_and_a_failure_leaves_it(tmp_path, monkeypatch):
    settings = StackSettings.parse(SMALL)
    path = simulate_folder(settings, 1, 0, 2, tmp_path / "0000.stacks")
    simulate_folder(settings, 1, 0, 1, path)
    assert len(list(path.glob("*.tif"))) == 4
    monkeypatch.setattr("weft.simulation.stacks.produce.simulate_stack", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        simulate_folder(settings, 1, 0, 2, path)
    assert len(list(path.glob("*.tif"))) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["0000.stacks"]


@pytest.mark.parametrize(
    ("numbers", "message"), [((-1, 0, 1), "seed -1"), ((1, -1, 1), "first -1"), ((1, 0, 0), "count 0")]
)
def test_impossible_numbers(tmp_path, numbers, message):
    with pytest.raises(WeftError, match=message):
        simulate_folder(StackSettings.parse(SMALL), *numbers, tmp_path / "a.stacks")


def test_processes_below_one(tmp_path):
    with pytest.raises(WeftError, match="processes 0"):
        simulate_folder(StackSettings.parse(SMALL), 1, 0, 1, tmp_path / "a.stacks", processes=0)
