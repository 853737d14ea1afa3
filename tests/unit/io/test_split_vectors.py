"""Vectors of a split vector: bytes in the documented layout, and those of a real branch where the file is present."""

import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st
from larmatch_files import split_bytes
from small_events import DATA

from weft.errors import WeftError
from weft.io.root_tree import RAW
from weft.io.split_vectors import read_split_vectors

FLOAT = np.dtype("f4")


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5), max_size=5))
def test_vectors_are_decoded(vectors):
    found = read_split_vectors(split_bytes(vectors, ">i4"), len(vectors), np.dtype("i4"))
    assert [v.tolist() for v in found] == vectors
    assert all(v.dtype == np.int32 for v in found)


def test_bytes_that_do_not_add_up():
    data = split_bytes([[1, 2], [3]], ">f4")
    for spoiled, outer, reason in (
        (data[:-4], 2, "byte count is 22, expected 18"),
        (data, 3, "vector 2 of 3 starts at byte 26, beyond the 26 bytes"),
        (data, 1, "8 bytes are left over after 1 vectors"),
        (data[:4], 1, "1 vectors in 4 bytes, expected at least 6"),
        (np.r_[data[:9], np.uint8(9), data[10:]], 2, "vector 0 of 2 claims 9 numbers"),
    ):
        with pytest.raises(WeftError, match=reason):
            read_split_vectors(spoiled, outer, FLOAT)
    assert read_split_vectors(np.empty(0, np.uint8), 0, FLOAT) == []


def test_a_real_branch():
    path = DATA / "ublarcvapp_reco3d/out_larcv_test.root"
    if not path.is_file():
        pytest.skip("needs shared/data/ublarcvapp_reco3d/out_larcv_test.root")
    with uproot.open(path) as file:
        branches = dict(file["image2d_wire_tree"].iteritems(recursive=True))
        branch = next(b for name, b in branches.items() if name.endswith("_image_v._img"))
        raw, expected = branch.array(RAW, library="np")[0], branch.array(library="np")[0]
    assert branch.typename == "std::vector<float>[]"
    found = read_split_vectors(raw, len(expected), FLOAT)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
