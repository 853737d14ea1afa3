"""Masks and polygons: by hand, and against matplotlib's point-in-polygon test."""

import json

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from weft.errors import WeftError
from weft.io.tiff_write import write_ome_tiff
from weft.volumes.curation.masks import inside, open_mask
from weft.volumes.curation.places import Place

SQUARE = [[1, 1], [4, 1], [4, 3], [1, 3], [1, 1]]


def polygon(rings, **properties):
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": rings}}


def whole(place, shape):
    with open_mask(place, shape) as mask:
        assert mask is not None
        return np.broadcast_to(mask(slice(0, shape[0])), shape)


def test_pixels_whose_middle_is_inside():
    made = inside([np.array(SQUARE, float)], (4, 6))
    assert made.astype(int).tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6]
    # An edge through the middle of pixels belongs to one of two neighbours only.
    left, right = ([[a, 0], [b, 0], [b, 2], [a, 2]] for a, b in ((0, 1.5), (1.5, 3)))
    masks = [inside([np.array(ring, float)], (2, 3)) for ring in (left, right)]
    assert np.array_equal(masks[0], ~masks[1])
    assert not inside([], (2, 2)).any()


def test_any_polygon_is_what_matplotlib_says():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:40, :50] + 0.5
    for _ in range(20):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(3, 30, 9)
        ring = np.stack([25 + radii * np.cos(angles), 20 + radii * np.sin(angles)], axis=1)
        expected = Polygon(ring).contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(40, 50)
        assert np.array_equal(inside([ring], (40, 50)), expected)


def test_geojson(tmp_path):
    hole = [[2, 1], [3, 1], [3, 3], [2, 3]]
    more = {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 1]]]]}
    several = [polygon([SQUARE, hole], z=[1, 1]), {"type": "Feature", "properties": None, "geometry": more}]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": several}))
    made = whole(Place(path), (3, 4, 6))
    assert made[1].astype(int).tolist() == [[1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0], [0, 1, 0, 1, 0, 0], [0] * 6]
    assert made[0].sum() == made[2].sum() == 1
    with open_mask(Place(path), (3, 4, 6)) as mask:
        assert mask is not None
        assert np.array_equal(np.concatenate([mask(slice(0, 2)), mask(slice(2, 3))]), made)
    for text in ("{", '{"type": "Point", "coordinates": [1, 2]}', "3"):
        path.write_text(text)
        with pytest.raises(WeftError, match=r"a\.geojson: .*GeoJSON"):
            whole(Place(path), (3, 4, 6))
    with pytest.raises(WeftError, match="no such file"):
        whole(Place(tmp_path / "b.geojson"), (3, 4, 6))


def test_a_mask_of_one_plane_is_for_all(tmp_path):
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 3, (3, 4, 6), np.uint8)
    write_ome_tiff(tmp_path / "deep.tif", deep)
    write_ome_tiff(tmp_path / "flat.tif", deep[1], "YX")
    assert np.array_equal(whole(Place(tmp_path / "deep.tif"), deep.shape), deep > 0)
    assert np.array_equal(whole(Place(tmp_path / "flat.tif"), deep.shape), np.stack([deep[1] > 0] * 3))
    with pytest.raises(WeftError, match=r"deep\.tif: a mask of 3 × 4 × 6 voxels .* for a stack of 4 × 4 × 6"):
        whole(Place(tmp_path / "deep.tif"), (4, 4, 6))
