"""The slice viewer: what its page carries, and that large stacks are thinned."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from weft.errors import WeftError
from weft.report import slices
from weft.report.slices import Outline, slice_viewer, thinning

SHAPE = (5, 12, 9)


def payload(figure):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', figure.html, re.DOTALL)[1])


def unpacked(text):
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15), np.uint8)


def viewer(spacing=(0.3, 0.1, 0.1), **other):
    image = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE) * 7
    labels = np.zeros(SHAPE, np.int16)
    labels[2, 3:6, 4:7], labels[0] = 3, -1
    return slice_viewer("a", "A", "Some.", {"image": image}, [Outline("truth", labels, "#123456")], spacing, **other)


def test_the_page_has_all_voxels():
    data = payload(viewer())
    assert data["shape"] == list(SHAPE)
    assert data["size"] == [0.3, 0.1, 0.1]
    assert data["unit"] == "µm"
    assert data["start"] == [2, 6, 4]
    grey = unpacked(data["maps"][0]["grey"]).reshape(SHAPE)
    assert grey.min() == 0
    assert grey.max() == 255
    assert (np.diff(grey.ravel().astype(int)) >= 0).all()
    low, high = data["maps"][0]["low"], data["maps"][0]["high"]
    np.testing.assert_allclose(low + grey[2, 6, 4] / 255 * (high - low), 7 * (2 * 108 + 6 * 9 + 4), rtol=0.01)
    labels = unpacked(data["outlines"][0]["labels"]).reshape(SHAPE)
    assert set(np.unique(labels)) == {0, 3, 255}
    assert labels[2, 3, 4] == 3


def test_an_unknown_voxel_size_is_drawn_as_cubes():
    data = payload(viewer((np.nan,) * 3))
    assert data["size"] == [1, 1, 1]
    assert data["unit"] == "voxels"


def test_large_stacks_are_thinned_where_they_are_finest(monkeypatch):
    assert thinning((100, 1000, 1000), (1.0, 0.1, 0.1)) == (1, 10, 10)
    assert thinning((10, 10, 10), (1, 1, 1)) == (1, 1, 1)
    assert thinning((32, 192, 192), (0.29, 0.1, 0.1)) == (1, 1, 1), "the stacks of the demo are shown whole"
    assert thinning((32, 240, 240), (0.29, 0.1, 0.1)) == (1, 2, 2), "pixels of a plane stay square"
    assert thinning((2, 1, 10**7), (0.1, 0.1, 0.1)) == (2, 1, 9)
    monkeypatch.setattr(slices, "MOST_VOXELS", 200)
    figure = viewer(start=(4, 11, 8))
    data = payload(figure)
    assert np.prod(data["shape"]) <= 200
    assert data["steps"][0] == 1
    assert "Of the 5 × 12 × 9 voxels" in figure.caption
    assert data["size"][1] == pytest.approx(0.1 * data["steps"][1])
    assert len(unpacked(data["maps"][0]["grey"])) == np.prod(data["shape"])
    assert all(s < n for s, n in zip(data["start"], data["shape"], strict=True))


def test_constant_and_single_slices_have_a_page():
    flat = np.full((1, 4, 4), 7.0)
    assert payload(slice_viewer("a", "A", "", {"image": flat}, [], (1, 1, 1)))["shape"] == [1, 4, 4]


def test_more_than_254_objects_keep_borders_with_the_background():
    labels = np.arange(600).reshape(1, 20, 30)
    data = payload(slice_viewer("a", "A", "", {"i": labels}, [Outline("t", labels, "#000000")], (1, 1, 1)))
    small = unpacked(data["outlines"][0]["labels"])
    assert (small[1:] > 0).all()
    assert small.max() == 254


def test_nothing_leaves_its_script_element():
    figure = slice_viewer("a", "A", "", {"</script><b>": np.zeros((1, 2, 2))}, [], (1, 1, 1))
    assert "</script><b>" not in figure.html
    assert payload(figure)["maps"][0]["name"] == "</script><b>"
    assert "http" not in figure.html


def test_shapes_that_differ_are_refused():
    with pytest.raises(WeftError, match="truth has shape"):
        slice_viewer("a", "A", "", {"i": np.zeros(SHAPE)}, [Outline("truth", np.zeros((2, 2, 2)), "#0")], (1, 1, 1))
    with pytest.raises(WeftError, match="no map"):
        slice_viewer("a", "A", "", {}, [], (1, 1, 1))
