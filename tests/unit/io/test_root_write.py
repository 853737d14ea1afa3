import json

import awkward as ak
import numpy as np
import pytest
import uproot

from weft.detector.meta import VoxelMeta
from weft.io.root_write import RootWriter, meta_columns


def rows(first, counts):
    n = int(np.sum(counts))
    members = {"._id": np.arange(n, dtype=np.uint64) + first, "._value": np.arange(n, dtype=np.float32) / 2}
    return {
        "_voxel_v": (np.array(counts), members),
        "_voxel_v._n": (np.array([2] * len(counts)), {"": np.arange(2 * len(counts), dtype=np.int32)}),
    }


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.root"
    meta = VoxelMeta((-1.0, 0.0, 2.0), (0.5, 1.0, 2.0), (4, 3, 5))
    with RootWriter(path, {"weft_codes": {"a": {"0": "primary"}}}) as writer:
        writer.extend("sparse3d_x_tree", {"_event": np.arange(3)} | meta_columns(meta, 3), rows(100, [2, 0, 1]))
        writer.extend("sparse3d_x_tree", {"_event": np.arange(2)} | meta_columns(meta, 2), rows(2**40, [0, 4]))
    with uproot.open(path) as file:
        assert json.loads(file["weft_codes"]) == {"a": {"0": "primary"}}
        tree = file["sparse3d_x_tree"]
        assert tree.num_entries == 5
        assert tree["_voxel_v._id"].array().tolist() == [[100, 101], [], [102], [], [2**40 + k for k in range(4)]]
        assert tree["_voxel_v._value"].array().tolist() == [[0, 0.5], [], [1], [], [0, 0.5, 1, 1.5]]
        assert tree["_voxel_v._n"].array().tolist() == [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3]]
        assert tree["_voxel_v._id"].typename == "uint64_t[]"
        assert tree["_voxel_v._value"].typename == "float[]"
        assert ak.all(tree["_meta._p2._z"].array() == 12.0)
        assert ak.all(tree["_meta._xnum"].array() == 4)


def test_all_lists_empty(tmp_path):
    with RootWriter(tmp_path / "a.root") as writer:
        writer.extend("t_tree", {"_event": np.arange(2)}, rows(0, [0, 0]))
    with uproot.open(tmp_path / "a.root") as file:
        assert file["t_tree/_voxel_v._id"].array().tolist() == [[], []]


def test_counts_must_fit(tmp_path):
    bad = {"_v": (np.array([2, 2]), {"._id": np.arange(3)})}
    with RootWriter(tmp_path / "a.root") as writer, pytest.raises(ValueError, match=r"_v\._id has 3 values"):
        writer.extend("t_tree", {"_event": np.arange(2)}, bad)


def test_numbers_of_events_must_agree(tmp_path):
    with RootWriter(tmp_path / "a.root") as writer, pytest.raises(ValueError, match="different numbers of events"):
        writer.extend("t_tree", {"_event": np.arange(3)}, rows(0, [1, 1]))
