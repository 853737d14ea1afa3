"""Statistics of whole volumes: numpy's, however the volume is read."""

import tracemalloc

import numpy as np
import pytest

from weft.errors import WeftError
from weft.volumes import lazy, statistics
from weft.volumes.statistics import quantiles
from weft.volumes.statistics import statistics as of


class Counted:
    """A lazy volume that says how much was read at once."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, key):
        made = self.array[key]
        self.most = max(self.most, made.size)
        return made


def volumes():
    rng = np.random.default_rng(0)
    yield rng.integers(0, 4096, (9, 30, 31)).astype(np.uint16)
    yield rng.normal(1e4, 1, (9, 30, 31)).astype(np.float32)
    yield rng.gamma(0.3, 2, (9, 30, 31)).astype(np.float32)
    yield np.full((1, 5, 5), 7, np.uint8)


@pytest.mark.parametrize("volume", list(volumes()))
def test_the_same_as_numpy(volume):
    found = of(volume)
    values = volume.astype(np.float64)
    assert found.n == volume.size
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.deviation == pytest.approx(values.std(), rel=1e-12, abs=1e-12)
    assert (found.low, found.high) == (values.min(), values.max())
    shares = [0, 0.001, 0.25, 0.5, 0.999, 1]
    np.testing.assert_allclose(quantiles(volume, shares), np.quantile(values, shares), rtol=1e-12)


def test_the_slabs_do_not_matter(monkeypatch):
    volume = Counted(np.random.default_rng(1).gamma(2, 100, (13, 20, 20)).astype(np.float32))
    whole = of(volume), quantiles(volume, [0.01, 0.99])
    monkeypatch.setattr(lazy.slabs, "__defaults__", (900,))
    volume.most = 0
    assert (of(volume), quantiles(volume, [0.01, 0.99])) == whole
    assert volume.most == 800, "two planes of 400 voxels"


def test_many_equal_values_are_counted_again(monkeypatch):
    """More values in a bin than are sorted: the bin is divided further."""
    monkeypatch.setattr(statistics, "_HELD", 10)
    rng = np.random.default_rng(2)
    volume = np.concatenate([1 + 1e-6 * rng.random(3000), 1e6 * rng.random(3000)]).reshape(6, 100, 10)
    shares = [0.1, 0.3, 0.499, 0.5, 0.9]
    np.testing.assert_allclose(quantiles(volume, shares), np.quantile(volume, shares), rtol=1e-14)
    volume[:] = np.where(volume < 2, 3.0, volume)
    assert quantiles(volume, [0.2]) == [3.0]


def test_a_range_of_values():
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = of(volume, low=3, high=8)
    assert (found.n, found.mean, found.low, found.high) == (4, 5.5, 0, 23)
    assert found.deviation == pytest.approx(np.std([4, 5, 6, 7]))
    assert of(volume, low=100).n == 0


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(WeftError, match="no voxels"):
        of(np.zeros((0, 3, 3)))
    bad = np.zeros((3, 2, 2))
    bad[1, 0, 0], bad[1, 1, 1] = np.nan, np.inf
    with pytest.raises(WeftError, match="plane 1 holds 2 values"):
        of(bad)


def test_memory_is_that_of_pieces():
    """4 million values: as many in float64 would be 32 MiB, and several such copies are needed."""
    volume = np.random.default_rng(3).integers(0, 4096, (2, 2048, 1024)).astype(np.uint16)
    tracemalloc.start()
    try:
        found = quantiles(volume, [0.001, 0.5])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found, np.quantile(volume, [0.001, 0.5]))
    assert most < 24 << 20
