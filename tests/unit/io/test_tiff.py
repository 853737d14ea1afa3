"""TIFF in and out: axes, voxel sizes, types, laziness, damage."""

import math
import struct
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile

from weft.errors import WeftError
from weft.io.stack_files import stem
from weft.io.tiff import TiffStack
from weft.io.tiff_write import write_ome_tiff

RNG = np.random.default_rng(5)
FULL = RNG.integers(0, 60000, (2, 3, 4, 5, 6), np.uint16)  # T, C, Z, Y, X


def read(path, time=0):
    with TiffStack(path) as stack:
        return np.asarray(stack.volume(time))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("axes", ["TCZYX", "TZCYX", "CZTYX"])
def test_axes_of_ome_tiff_in_any_order(tmp_path, axes, compression):
    path = tmp_path / "a.ome.tif"
    stored = FULL.transpose(["TCZYX".index(axis) for axis in axes])
    tifffile.imwrite(path, stored, metadata={"axes": axes}, compression=compression, photometric="minisblack")
    with TiffStack(path) as stack:
        assert stack.axes == axes
        assert stack.shape == FULL.shape
        for time in range(2):
            np.testing.assert_array_equal(np.asarray(stack.volume(time)), FULL[time])


def test_imagej_hyperstack_and_its_voxel_size(tmp_path):
    path = tmp_path / "a.tif"
    about = {"axes": "TZCYX", "spacing": 0.29, "unit": "um"}
    tifffile.imwrite(path, FULL.transpose(0, 2, 1, 3, 4), imagej=True, metadata=about, resolution=(10, 5))
    with TiffStack(path) as stack:
        assert stack.spacing == pytest.approx((0.29, 0.2, 0.1))
        np.testing.assert_array_equal(np.asarray(stack.volume(1)), FULL[1])
    tifffile.imwrite(
        path, FULL[0, 0], imagej=True, metadata=about | {"axes": "ZYX", "unit": "pixel"}, resolution=(10, 5)
    )
    with TiffStack(path) as stack:
        assert np.isnan(stack.spacing).all(), "pixels are no length"


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("metadata", [{}, None])
def test_of_two_axes_without_names_the_shorter_is_the_channel(tmp_path, compression, metadata):
    path = tmp_path / "a.tif"
    for stored in (FULL[0], FULL[0].swapaxes(0, 1)):
        if metadata is None:
            # Files without a shape are read as pages, of which nothing says that they have two axes.
            tifffile.imwrite(path, stored[0], metadata=None, compression=compression, photometric="minisblack")
            np.testing.assert_array_equal(read(path), stored[None, 0])
        else:
            tifffile.imwrite(path, stored, compression=compression, photometric="minisblack")
            np.testing.assert_array_equal(read(path), FULL[0])
    square = FULL[0, :, :3]
    tifffile.imwrite(path, square, photometric="minisblack")
    np.testing.assert_array_equal(read(path), square), "of one length the first is the channel"


def test_planes_of_three_slices_are_no_colours(tmp_path):
    path = tmp_path / "a.tif"
    small = RNG.integers(0, 255, (3, 7, 8), np.uint8)
    tifffile.imwrite(path, small, compression="zlib", photometric="minisblack")
    np.testing.assert_array_equal(read(path), small[None])
    tifffile.imwrite(path, np.stack([small] * 5), photometric="minisblack")
    assert read(path).shape == (3, 5, 7, 8)
    tifffile.imwrite(path, RNG.integers(0, 255, (4, 7, 8, 3), np.uint8), photometric="rgb")
    assert read(path).shape == (3, 4, 7, 8), "these are"


def test_a_single_slice_and_a_single_voxel(tmp_path):
    for shape in ((5, 6), (1, 1)):
        tifffile.imwrite(tmp_path / "a.tif", np.full(shape, 7, np.uint8))
        assert read(tmp_path / "a.tif").shape == (1, 1, *shape)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", "i4", "f8"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_values_keep_their_type_and_precision(tmp_path, dtype, byteorder, compression):
    values = (RNG.random((4, 5, 6)) * 250).astype(dtype)
    values[0, 0, 0] = 251.25 if dtype[0] == "f" else 251
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, byteorder=byteorder, compression=compression, photometric="minisblack")
    found = read(path)
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found[0], values)


KEYS = [
    np.s_[0], np.s_[:, 2], np.s_[0, 1:3, ::2, 4], np.s_[..., 3], np.s_[-1, -1, -1, -1], np.s_[1:, :0], np.s_[:, ::-1],
    np.s_[0, ..., 1:2, :], np.s_[:, 1:9, -2:, :],
]  # fmt: skip


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_slices_are_those_of_numpy(tmp_path, key, compression):
    write_ome_tiff(tmp_path / "a.ome.tif", FULL[0], "CZYX", compress=compression is not None)
    with TiffStack(tmp_path / "a.ome.tif") as stack:
        np.testing.assert_array_equal(stack.volume()[key], FULL[0][key])


def test_indices_that_do_not_exist(tmp_path):
    write_ome_tiff(tmp_path / "a.ome.tif", FULL[0], "CZYX")
    with TiffStack(tmp_path / "a.ome.tif") as stack:
        for key in (np.s_[3], np.s_[0, 4], np.s_[0, 0, 0, 0, 0], [0, 1]):
            with pytest.raises(IndexError):
                stack.volume()[key]
        with pytest.raises(WeftError, match="no time point 1; it has 1"):
            stack.volume(1)


def test_only_the_planes_that_are_named_are_read(tmp_path, monkeypatch):
    write_ome_tiff(tmp_path / "a.ome.tif", FULL[0], "CZYX")
    with TiffStack(tmp_path / "a.ome.tif") as stack:
        volume, seen = stack.volume(), []
        plane = stack.plane
        monkeypatch.setattr(stack, "plane", lambda *at: seen.append(at) or plane(*at))
        volume[1, 2:4]
    assert seen == [(0, 1, 2), (0, 1, 3)]


def test_ome_tiff_keeps_voxel_size_channels_and_provenance(tmp_path):
    record = {"weft": "1.0", "config": {"threshold": 0.5}, "name": 'a "quoted" <µ> one'}
    path = write_ome_tiff(
        tmp_path / "a.ome.tif", FULL[0], "CZYX", spacing=(0.29, 0.1, 0.2), channels=("a", "b", "ç"), record=record
    )
    with TiffStack(path) as stack:
        assert stack.spacing == (0.29, 0.1, 0.2)
        assert stack.channels == ("a", "b", "ç")
        assert stack.record == record
    with tifffile.TiffFile(path) as theirs:
        assert 'PhysicalSizeXUnit="µm"' in theirs.ome_metadata
        np.testing.assert_array_equal(theirs.asarray(), FULL[0])


@pytest.mark.parametrize(("unit", "micrometres"), [("nm", 0.25e-3), ("mm", 250), ("µm", 0.25), ("pixel", math.nan)])
def test_units_of_length(tmp_path, unit, micrometres):
    about = {"axes": "ZYX"} | {f"PhysicalSize{a}": 0.25 for a in "ZYX"} | {f"PhysicalSize{a}Unit": unit for a in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", FULL[0, 0], metadata=about, photometric="minisblack")
    with TiffStack(tmp_path / "a.ome.tif") as stack:
        np.testing.assert_allclose(stack.spacing, micrometres)


def test_what_is_not_known_is_not_made_up(tmp_path):
    write_ome_tiff(tmp_path / "a.ome.tif", FULL[0, 0], spacing=(math.nan, 0.1, 0.1))
    tifffile.imwrite(tmp_path / "b.tif", FULL[0, 0], resolution=(72, 72), resolutionunit="inch")
    with TiffStack(tmp_path / "a.ome.tif") as stack:
        np.testing.assert_array_equal(stack.spacing, (math.nan, 0.1, 0.1))
        assert (stack.channels, stack.record) == ((), {})
    with TiffStack(tmp_path / "b.tif") as stack:
        assert np.isnan(stack.spacing).all()


def test_the_same_volume_gives_the_same_bytes_and_is_read_in_slabs(tmp_path, monkeypatch):
    monkeypatch.setattr("weft.io.tiff_write._SLAB_BYTES", 2 * 5 * 6 * 2)
    deepest = []

    class Lazy:
        shape, dtype = FULL.shape, FULL.dtype

        def __getitem__(self, key):
            deepest.append(FULL[key].shape)
            return FULL[key]

    one = write_ome_tiff(tmp_path / "x" / "a.ome.tif", Lazy(), "TCZYX").read_bytes()
    assert set(deepest) == {(2, 5, 6)}
    assert write_ome_tiff(tmp_path / "y" / "a.ome.tif", FULL, "TCZYX").read_bytes() == one
    np.testing.assert_array_equal(read(tmp_path / "x" / "a.ome.tif", 1), FULL[1])


def test_large_files_are_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr("weft.io.tiff_write._CLASSIC_BYTES", 100)
    path = write_ome_tiff(tmp_path / "a.ome.tif", FULL[0, 0])
    assert path.read_bytes()[:4] == b"II+\0"
    np.testing.assert_array_equal(read(path)[0], FULL[0, 0])


@pytest.mark.parametrize(
    ("volume", "axes", "more", "message"),
    [
        (FULL[0], "ZYX", {}, "axes ZYX for a volume of shape"),
        (FULL[0], "ZCYX", {}, "some of TCZYX in order"),
        (FULL[0], "CZYX", {"channels": ("a",)}, "1 names of channels for 3"),
        (FULL[0, 0].astype("i8"), "ZYX", {}, "no type int64"),
        (FULL[0, 0].astype("f2"), "ZYX", {}, "no type float16"),
        (FULL[0, 0, :0], "ZYX", {}, "has no voxels"),
    ],
)
def test_what_cannot_be_written(tmp_path, volume, axes, more, message):
    with pytest.raises(WeftError, match=message):
        write_ome_tiff(tmp_path / "a.ome.tif", volume, axes, **more)
    assert not list(tmp_path.iterdir())


def test_damaged_files(tmp_path):
    text, short, torn, lost = (tmp_path / f"{name}.tif" for name in ("text", "short", "torn", "lost"))
    text.write_text("no image")
    tifffile.imwrite(short, FULL[0, 0])
    short.write_bytes(short.read_bytes()[:-40])
    tifffile.imwrite(torn, FULL[0, 0], compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(torn) as file:
        offset = file.pages[2].dataoffsets[0]
    torn.write_bytes(torn.read_bytes()[:offset] + b"\xff" * 8 + torn.read_bytes()[offset + 8 :])
    for path, message in ((text, "not a TIFF, or damaged"), (short, "shorter than"), (lost, "no such file")):
        with pytest.raises(WeftError, match=message):
            read(path)
    with TiffStack(torn) as stack:
        stack.volume()[:, :2]
        with pytest.raises(WeftError, match=r"torn.tif: plane 2 cannot be read"):
            stack.volume()[0, 2]


@pytest.mark.parametrize("page", [1, 3])
def test_a_file_that_is_cut_off_between_pages_is_not_a_shorter_stack(tmp_path, caplog, page):
    """tifffile logs that, and reads the pages before."""
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, FULL[0, 0], compression="zlib", photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        end = file.pages[page].offset
    path.write_bytes(path.read_bytes()[:end])
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == page < 4
    assert "invalid page offset" in caplog.text
    caplog.clear()
    with pytest.raises(WeftError, match=r"cut.tif: damaged: it ends before the last of its pages"):
        read(path)
    assert not caplog.records, "one line says it"


def test_what_tifffile_warns_of_is_heard_where_all_is_well(tmp_path, caplog, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, FULL[0, 0], photometric="minisblack")
    opened = tifffile.TiffFile

    def talking(*given):
        tifffile.logger().warning("an odd tag")
        return opened(*given)

    monkeypatch.setattr(tifffile, "TiffFile", talking)
    read(path)
    assert [record.getMessage() for record in caplog.records] == ["an odd tag"]


def test_a_compression_that_needs_another_package(tmp_path):
    if find_spec("imagecodecs"):
        pytest.skip("it is installed")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, FULL[0, 0], compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        places = [page.tags["Compression"].valueoffset for page in file.pages]
    content = bytearray(path.read_bytes())
    for place in places:
        struct.pack_into("<H", content, place, 5)  # LZW
    path.write_bytes(content)
    with pytest.raises(WeftError, match=r"a.tif: plane 0 cannot be read: .*pip install imagecodecs"):
        read(path)


def test_axes_that_are_no_stack(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 4, 5, 6), np.uint8), photometric="minisblack")
    with pytest.raises(WeftError, match=r"a.tif: axes QQQYX of \(2, 3, 4, 5, 6\) are not T, C, Z, Y, X"):
        read(tmp_path / "a.tif")


def test_names_without_their_ending():
    names = ("a.ome.tif", "b.tiff", "c.OME.TIFF", "img_3.5.tif", "x.h5")
    assert [stem(f"folder/{name}") for name in names] == ["a", "b", "c", "img_3.5", "x.h5"]
