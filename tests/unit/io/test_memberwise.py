"""Member-wise vectors: synthetic bytes in the documented layout, and real ones where the files are present."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_events import DATA

from weft.errors import WeftError
from weft.io.memberwise import members_of, read_header, read_vectors
from weft.io.root_source import decode_clusters

CHECKSUM = 0x7A384FDA
VOXEL = [("_id", "unsigned long long"), ("_value", "float")]


def streamer(members, checksum=CHECKSUM):
    elements = [SimpleNamespace(name=n, typename=t) for n, t in members]
    return SimpleNamespace(elements=elements, member={"fCheckSum": checksum}.__getitem__)


STREAMERS = {"larcv::Voxel": {1: streamer(VOXEL)}}


def blob(clusters, version=1, checksum=None):
    """Bytes of one entry's ``_voxel_vv._voxel_v`` by the layout of spine_full_chain.md §4.2."""
    body = struct.pack(">HH", 0x4009, version) + (b"" if version else struct.pack(">I", checksum))
    for ids, values in clusters:
        body += struct.pack(">i", len(ids)) + np.asarray(ids, ">u8").tobytes() + np.asarray(values, ">f4").tobytes()
    return np.frombuffer(struct.pack(">I", 0x40000000 | len(body)) + body, np.uint8)


voxel = st.tuples(st.integers(0, 2**64 - 1), st.floats(width=32, allow_nan=False))


@given(st.lists(st.lists(voxel, max_size=6), min_size=1, max_size=5), st.booleans())
def test_clusters_are_decoded(clusters, by_checksum):
    columns = [([i for i, _ in c], [v for _, v in c]) for c in clusters]
    data = blob(columns, 0, CHECKSUM) if by_checksum else blob(columns)
    found = decode_clusters("here", data, len(clusters), STREAMERS)
    assert found.offsets.tolist() == np.cumsum([0] + [len(c) for c in clusters]).tolist()
    assert found.ids.tolist() == [i for c in clusters for i, _ in c]
    assert found.values.tolist() == [v for c in clusters for _, v in c]


def test_the_files_own_streamer_info_decides_the_layout():
    reordered = {
        "larcv::Voxel": {3: streamer([("_value", "double"), ("_flag", "unsigned short"), ("_id", "unsigned int")])}
    }
    body = struct.pack(">HH", 0x4009, 3) + struct.pack(">i", 2)
    body += (
        np.array([1.5, 2.5], ">f8").tobytes() + np.array([1, 2], ">u2").tobytes() + np.array([7, 9], ">u4").tobytes()
    )
    data = np.frombuffer(struct.pack(">I", 0x40000000 | len(body)) + body, np.uint8)
    found = decode_clusters("here", data, 1, reordered)
    assert found.ids.tolist() == [7, 9]
    assert found.values.tolist() == [1.5, 2.5]


def test_no_clusters_have_no_bytes():
    assert len(decode_clusters("here", np.empty(0, np.uint8), 0, STREAMERS).ids) == 0


GOOD = blob([([1, 2], [0.5, 1.5]), ([3], [2.5])])


@pytest.mark.parametrize(
    ("data", "count", "reason"),
    [
        (GOOD[:-1], 2, "byte count is"),
        (np.append(GOOD, np.uint8(0)), 2, "byte count is"),
        (GOOD, 1, "bytes are left over after 1"),
        (GOOD, 3, "vector 2 of 3 starts at byte"),
        (GOOD[:4], 2, "at least 8 bytes"),
        (blob([([1], [1.0])], 7), 1, "no larcv::Voxel of version 7"),
        (blob([([1], [1.0])], 0, 1), 1, "no larcv::Voxel of version 0"),
    ],
)
def test_sizes_that_do_not_add_up_are_refused(data, count, reason):
    with pytest.raises(WeftError, match=reason) as caught:
        decode_clusters("file: tree: entry 4", data, count, STREAMERS)
    assert str(caught.value).startswith("file: tree: entry 4: ")


def test_a_count_beyond_the_bytes_is_refused():
    broken = GOOD.copy()
    broken[8:12] = np.frombuffer(struct.pack(">i", 1000), np.uint8)
    with pytest.raises(WeftError, match="claims 1000 elements"):
        decode_clusters("here", broken, 2, STREAMERS)


def test_other_serialisations_are_refused():
    plain = GOOD.copy()
    plain[4] = 0
    with pytest.raises(WeftError, match="not written member-wise"):
        decode_clusters("here", plain, 2, STREAMERS)
    nested = {"larcv::Voxel": {1: streamer([("_v", "vector<float>")])}}
    with pytest.raises(WeftError, match="expected a plain number"):
        decode_clusters("here", GOOD, 2, nested)
    strange = {"larcv::Voxel": {1: streamer([("_id", "unsigned long long"), ("_weight", "float")])}}
    with pytest.raises(WeftError, match="expected _id and _value"):
        decode_clusters("here", GOOD, 2, strange)


# ---------------------------------------------------------------------------------------------- real bytes

MICROBOONE = DATA / "ublarcvapp_reco3d" / "out_larcv_test.root"
TUTORIAL = DATA / "larcv_tutorial" / "electron.root"


@pytest.mark.skipif(not MICROBOONE.exists(), reason="the MicroBooNE file is not here")
def test_real_masks_decode_into_points_on_the_plane():
    """200 vectors of larcv::Point2D in one entry, each behind a header of its own."""
    import uproot

    from weft.io.root_tree import RAW

    with uproot.open(MICROBOONE) as file:
        branch = file["clustermask_mrcnn_masks_tree"]["clustermask_mrcnn_masks_branch/_clustermask_vv"]
        data = np.asarray(branch.array(RAW, library="np")[0])
        streamers = file.file.streamers
        members = members_of(streamers, "larcv::Point2D", 1, None)
    assert members == [("x", np.dtype(">f8")), ("y", np.dtype(">f8"))]
    raw, found, at = data.tobytes(), [], 0
    header = struct.pack(">HHI", 0x4009, 0, next(iter(streamers["larcv::Point2D"].values())).member("fCheckSum"))
    while (at := raw.find(header, at)) >= 0:
        length = (int.from_bytes(raw[at - 4 : at], "big") & ~0x40000000) + 4
        vector = data[at - 4 : at - 4 + length]
        version, checksum, position = read_header(vector)
        assert members_of(streamers, "larcv::Point2D", version, checksum) == members
        (x, y), offsets = read_vectors(vector, position, 1, members)
        assert len(x) == offsets[1]
        found.append((x, y))
        at += 1
    assert len(found) == 200
    assert 1857 in {len(x) for x, _ in found}
    for x, y in found:
        if len(x):
            assert 0 <= x.min() <= x.max() <= 3456
            assert 0 <= y.min() <= y.max() <= 3456


@pytest.mark.skipif(not TUTORIAL.exists(), reason="the LArCV tutorial file is not here")
def test_real_vectors_inside_a_split_vector_are_empty_and_fit():
    """`_bb2d_v`: one header per entry, then a count per particle, as cluster3d must have it."""
    from weft.io.root_tree import RootFile

    with RootFile(TUTORIAL) as file:
        tree = file.trees["particle_mctruth"]
        particles = tree.column("part_v.pdg").jagged(0, 10)
        raw = tree.column("part_v.bb2d_v", raw=True).jagged(0, 10)
        for i in range(10):
            version, checksum, position = read_header(raw[i])
            streamer = next(iter(file.streamers["larcv::BBox2D"].values()))
            assert (version, checksum) == (0, streamer.member("fCheckSum"))
            _, offsets = read_vectors(raw[i], position, len(particles[i]), [("any", np.dtype(">f8"))])
            assert offsets.tolist() == [0] * (len(particles[i]) + 1)


@pytest.mark.skipif(not TUTORIAL.exists(), reason="the LArCV tutorial file is not here")
def test_the_real_streamer_info_describes_voxels():
    import uproot

    with uproot.open(TUTORIAL) as file:
        members = members_of(file.file.streamers, "larcv::Voxel", 0, CHECKSUM)
    assert [(name, dtype.str) for name, dtype in members] == [("_id", ">u8"), ("_value", ">f4")]
