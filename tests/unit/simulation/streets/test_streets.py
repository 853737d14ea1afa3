"""Simulated streets: functions of (settings, seed, number), with what a street has in its places."""

import numpy as np
import pytest

from weft.config.loading import ConfigError
from weft.io.image_reading import read_mask, read_picture
from weft.io.images import ImageSource
from weft.simulation.streets.camera import EYE, Camera
from weft.simulation.streets.produce import simulate_folder
from weft.simulation.streets.settings import CLASSES, IGNORED, StreetSettings
from weft.simulation.streets.street import simulate_street

SMALL = StreetSettings.parse({"shape": (48, 64)})
SKY, ROAD, BUILDING, CAR, PERSON = (CLASSES.index(name) for name in ("sky", "road", "building", "car", "person"))


def test_a_street_is_a_function_of_its_number():
    first, again, other = (simulate_street(SMALL, 1, k) for k in (3, 3, 4))
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.picture, other.picture)
    assert first.picture.shape == (48, 64, 3)
    assert first.mask.shape == (48, 64)


def test_other_light_is_the_same_street():
    dark = StreetSettings.parse({"shape": (48, 64), "light": {"exposure": (0.3, 0.3), "noise": 0}})
    for k in range(3):
        plain, other = simulate_street(SMALL, 1, k), simulate_street(dark, 1, k)
        assert np.array_equal(plain.mask, other.mask)
        assert other.picture.mean() < 0.6 * plain.picture.mean()


def test_where_things_are():
    streets = [simulate_street(SMALL, 2, k).mask for k in range(12)]
    height = {c: np.mean([np.mean(np.nonzero(m == c)[0]) for m in streets if (m == c).any()]) for c in (SKY, ROAD)}
    assert height[SKY] < 15 < 33 < height[ROAD], "rows are counted from the top"
    seen = np.bincount(np.concatenate([mask.ravel() for mask in streets]), minlength=len(CLASSES))
    assert (seen > 0).all()
    assert seen[ROAD] > seen[CAR] > seen[PERSON]
    none = StreetSettings.parse({"shape": (48, 64), "objects": {"cars": (0, 0), "persons": (0, 0), "gaps": 1}})
    assert not np.isin(simulate_street(none, 2, 0).mask, [CAR, PERSON, BUILDING]).any()


def test_colours_of_the_classes_overlap():
    plain, alike = (StreetSettings.parse({"shape": (48, 64), "alike": share}) for share in (0, 1))

    def grey(settings: StreetSettings) -> float:
        """Spread of red, green and blue in the pixels of cars."""
        streets = [simulate_street(settings, 5, k) for k in range(10)]
        cars = np.concatenate([street.picture[street.mask == CAR] for street in streets]).astype(float)
        return float(cars.std(axis=1).mean())

    assert grey(alike) < 0.6 * grey(plain)


def test_edges_between_classes_have_no_label():
    bordered = simulate_street(StreetSettings.parse({"shape": (48, 64), "border": 1}), 1, 0).mask
    whole = simulate_street(SMALL, 1, 0).mask
    lost = bordered == IGNORED
    assert 0.05 < lost.mean() < 0.4
    assert np.array_equal(bordered[~lost], whole[~lost])
    across = (whole[:, 1:] != whole[:, :-1]) & ~(lost[:, 1:] & lost[:, :-1])
    assert not across.any()


def test_the_camera_takes_metres_to_pixels_and_back():
    camera = Camera(60, 80, 25.0, 42.0, 70.0)
    column, row = camera.column(2.0, 10.0), camera.row(0.0, 10.0)
    x, z = camera.ground()
    at = int(row), int(column)
    assert (x[at], z[at]) == pytest.approx((2.0, 10.0), abs=0.4)
    height, far = camera.wall(2.0)
    assert (height[at], far[at]) == pytest.approx((0.0, 10.0), abs=0.4)
    right, up = camera.front(0.0, 10.0)
    assert (right[at], up[at]) == pytest.approx((2.0, 0.0), abs=0.15)
    assert camera.row(EYE, 33.0) == 25.0, "what is as high as the camera is at the horizon"


def test_a_folder_as_a_user_has_one(tmp_path):
    folder = simulate_folder(SMALL, 7, 2, 2, tmp_path / "0000.streets", processes=2)
    assert sorted(path.name for path in folder.iterdir()) == ["classes.txt", "images", "masks", "provenance.json"]
    source = ImageSource(folder)
    assert source.names_of_classes == list(CLASSES)
    assert source.numbers().tolist() == [[1, 7, 2], [1, 7, 3]]
    street = simulate_street(SMALL, 7, 3)
    assert np.array_equal(read_picture(folder / "images/street_007_00003.png")[0], street.picture.transpose(2, 0, 1))
    assert np.array_equal(read_mask(folder / "masks/street_007_00003.png"), street.mask)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"light": {"nois": 1}}, "noise"),
        ({"shape": (8, 64)}, "16 to 8192"),
        ({"objects": {"cars": (3, 1)}}, "lowest <= highest"),
        ({"horizon": (0.5, 0.95)}, "horizon"),
    ],
)
def test_settings_that_make_no_street(values, said):
    with pytest.raises(ConfigError, match=said):
        StreetSettings.parse(values)
