"""PILArNet-M and larcv3 files, written here by their documented layouts."""

import h5py
import numpy as np
import pytest
from small_events import event, same

from weft.errors import WeftError
from weft.io.check import check
from weft.io.convert import convert_file, recognise
from weft.io.store import EventStore
from weft.io.voxels import voxel_id

# ------------------------------------------------------------------------------------------------ PILArNet-M

#: Two clusters that share a voxel, after the low-energy one: (points, fragment, group, interaction, class, pid).
CLUSTERS = [[1, -1, -1, -1, 4, -1], [2, 0, 7, 3, 0, 1], [3, 1, 7, 3, 1, 2]]
POINTS = [
    # x, y, z, value, energy deposit, time, electrons, dx
    [767, 0, 0, 0.5, 0.6, 1, 100, 0.1],
    [5, 6, 7, 1.0, 1.1, 2, 200, 0.1],
    [8, 6, 7, 2.0, 2.1, 2, 200, 0.1],
    [5, 6, 7, 4.0, 4.1, 3, 300, 0.1],
    [4, 6, 7, 8.0, 8.1, 3, 300, 0.1],
    [1, 2, 3, 16.0, 16.1, 3, 300, 0.1],
]
EXTRA = [[0, 0, 0, 0, 0], [0.511, 0.05, -1152.0, 0.0, 1152.0], [105.658, 0.311, -987.2, 1.0, 2.0]]


def write_pilarnet(path, width=6, extra=True, copies=2, clusters=CLUSTERS, points=POINTS):
    flat = h5py.vlen_dtype(np.dtype("f4"))
    with h5py.File(path, "w") as file:
        for name, rows in (("point", points), ("cluster", [c[:width] for c in clusters]), ("cluster_extra", EXTRA)):
            if name == "cluster_extra" and not extra:
                continue
            dataset = file.create_dataset(name, (copies,), flat)
            for i in range(copies):
                dataset[i] = np.array(rows, "f4").ravel()


@pytest.mark.parametrize("width", [5, 6])
@pytest.mark.parametrize("extra", [True, False])
def test_pilarnet(tmp_path, width, extra):
    path = tmp_path / "generic_v2_2_v2.h5"
    write_pilarnet(path, width, extra)
    assert recognise(path) == "pilarnet"
    convert_file(path, tmp_path / "a.h5")
    assert check(tmp_path / "a.h5") == []
    with EventStore.open(tmp_path / "a.h5") as store:
        assert len(store) == 2
        assert store.events["uid"][0] != store.events["uid"][1]
        assert store.files["0"].provenance["source"]["version"] == f"v{width - 4}"
        assert store["voxels"][0].tolist() == [[767, 0, 0], [1, 2, 3], [4, 6, 7], [5, 6, 7], [8, 6, 7]]
        assert store["charge"][0].ravel().tolist() == [0.5, 16.0, 8.0, 5.0, 2.0], "the shared voxel adds up"
        assert store["semantics"][0].ravel().tolist() == [4, 1, 1, 1, 0], "and is a track's"
        assert [item["voxel"].tolist() for item in store["clusters"][1]] == [[0], [3, 4], [3, 2, 1]]
        assert [item["energy"].tolist() for item in store["clusters"][1]] == [[0.5], [1, 2], [4, 8, 16]]
        particles = store["particles"][0]
        assert particles["num_voxels"].tolist() == [1, 2, 3]
        assert particles["group_id"].tolist() == [-1, 1, 1]
        assert particles["interaction_id"].tolist() == [-1, 3, 3]
        assert particles["shape"].tolist() == [4, 0, 1]
        assert particles["pdg"].tolist() == ([-1, 11, 13] if width == 6 else [-1, -1, -1])
        if extra:
            assert np.allclose(particles["p"], [0, 50, 311])
            assert np.allclose(particles["ancestor_vtx_x"][1:], [0.0, 115.2 - 98.72], atol=1e-4)
            assert np.isclose(particles["ancestor_vtx_z"][1], 230.4)
        else:
            assert np.isnan(particles["p"]).all()
        meta = store["meta"][0]
        assert meta["nx"].tolist() == [768]
        assert meta["size_z"].tolist() == [0.3]


def test_pilarnet_without_its_clusters(tmp_path):
    write_pilarnet(tmp_path / "p.h5")
    convert_file(tmp_path / "p.h5", tmp_path / "a.h5", products={"clusters": None}, start=1)
    with EventStore.open(tmp_path / "a.h5") as store:
        assert set(store.products) == {"meta", "voxels", "charge", "semantics", "particles"}
        assert store.events["event"].tolist() == [1]


def test_pilarnet_that_does_not_add_up(tmp_path):
    for name, change, reason in (
        ("sizes", {"clusters": [[9, *c[1:]] for c in CLUSTERS]}, "cluster rows have neither 5 nor 6 columns"),
        ("points", {"points": [[900, *p[1:]] for p in POINTS]}, "event 0: coordinates run from 0 to 900"),
    ):
        write_pilarnet(tmp_path / f"{name}.h5", **change)
        with pytest.raises(WeftError, match=reason):
            convert_file(tmp_path / f"{name}.h5", tmp_path / "a.h5")
    write_pilarnet(tmp_path / "later.h5")
    with h5py.File(tmp_path / "later.h5", "r+") as file:
        file["cluster"][1] = np.array([[9, *c[1:]] for c in CLUSTERS], "f4").ravel()
    with pytest.raises(WeftError, match="event 1: cluster sizes add up to 27, the points are 6"):
        convert_file(tmp_path / "later.h5", tmp_path / "a.h5")
    write_pilarnet(tmp_path / "short.h5")
    with h5py.File(tmp_path / "short.h5", "r+") as file:
        file["cluster_extra"][0] = np.zeros(5, "f4")
    with pytest.raises(WeftError, match="3 clusters, cluster_extra has 1 rows"):
        convert_file(tmp_path / "short.h5", tmp_path / "a.h5")
    with h5py.File(tmp_path / "short.h5", "r+") as file:
        del file["cluster_extra"]
        file["cluster_extra"] = np.zeros(3)
    with pytest.raises(WeftError, match="unequal entry counts: point 2, cluster 2, cluster_extra 3"):
        convert_file(tmp_path / "short.h5", tmp_path / "a.h5")
    with pytest.raises(WeftError, match="fixed names"):
        convert_file(tmp_path / "later.h5", tmp_path / "a.h5", products={"charge": "point"})
    assert not (tmp_path / "a.h5").exists()


# ------------------------------------------------------------------------------------------------ larcv3

SHAPE = (20, 30, 40)
EXTENTS = np.dtype([("first", "u4"), ("n", "u4")])
ID_EXTENTS = np.dtype([("first", "u4"), ("n", "u4"), ("id", "u4")])
VOXEL = np.dtype([("id", "u8"), ("value", "f4")])
IMAGE_META = np.dtype(
    [
        ("valid", "u1"),
        ("projection_id", "u8"),
        ("image_sizes", "f8", 3),
        ("number_of_voxels", "u8", 3),
        ("origin", "f8", 3),
    ]
)
VERTEX = np.dtype([("x", "f8"), ("y", "f8"), ("z", "f8"), ("t", "f8")])
PARTICLE = np.dtype(
    [("id", "u2"), ("shape", "i4"), ("trackid", "u4"), ("pdg", "i4"), ("px", "f8"), ("py", "f8"), ("pz", "f8"),
     ("vtx", VERTEX), ("process", "S64")]
)  # fmt: skip


def row_major(index):
    x, y, z = np.asarray(index, np.uint64).T
    return (x * np.uint64(SHAPE[1]) + y) * np.uint64(SHAPE[2]) + z


def extents(counts, dtype=EXTENTS):
    rows = np.zeros(len(counts), dtype)
    rows["n"], rows["first"] = counts, np.cumsum([0, *counts])[:-1]
    return rows


def voxel_rows(index, values):
    rows = np.zeros(len(index), VOXEL)
    rows["id"], rows["value"] = row_major(index), np.ravel(values)
    return rows


def write_larcv3(path, events):
    n = len(events)
    metas = np.zeros(n, IMAGE_META)
    metas["image_sizes"], metas["number_of_voxels"], metas["origin"] = 0.3 * np.array(SHAPE), SHAPE, -3.0
    with h5py.File(path, "w") as file:
        ids = np.zeros(n, [("run", "i8"), ("subrun", "i8"), ("event", "i8")])
        ids["run"], ids["event"] = 5, np.arange(n)
        file["Events/event_id"] = ids
        for name, values in (("pcluster", "charge"), ("pcluster_semantics", "semantics")):
            group = file.create_group(f"Data/sparse3d_{name}_group")
            group["extents"], group["image_meta"] = extents([1] * n), metas
            group["voxel_extents"] = extents([len(e["voxels"]) for e in events], ID_EXTENTS)
            group["voxels"] = np.concatenate([voxel_rows(e["voxels"], e[values]) for e in events])
        group = file.create_group("Data/cluster3d_pcluster_group")
        group["extents"], group["image_meta"] = extents([1] * n), metas
        group["projection_extents"] = extents([len(e["clusters"]) for e in events], ID_EXTENTS)
        group["cluster_extents"] = extents([len(c) for e in events for c in e["clusters"]], ID_EXTENTS)
        group["voxels"] = np.concatenate(
            [voxel_rows(e["voxels"][e["clusters"].values["voxel"]], e["clusters"].values["energy"]) for e in events]
        )
        rows = []
        for e in events:
            rows.append(np.zeros(len(e["particles"]), PARTICLE))
            rows[-1]["id"], rows[-1]["shape"] = e["particles"]["id"], e["particles"]["shape"]
            rows[-1]["trackid"], rows[-1]["process"] = 2**32 - 1, b"compt"
            rows[-1]["vtx"]["y"] = 2.5
        group = file.create_group("Data/particle_pcluster_group")
        group["extents"], group["particles"] = extents([len(r) for r in rows]), np.concatenate(rows)
        file.create_group("Data/image2d_data_group")


def test_larcv3(tmp_path, events):
    path = tmp_path / "events.h5"
    write_larcv3(path, events)
    assert recognise(path) == "larcv3"
    done = convert_file(path, tmp_path / "a.h5")
    assert done.skipped == {"image2d_data_group": "groups of this type are not supported"}
    assert check(tmp_path / "a.h5") == []
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store.events["run"].tolist() == [5] * 8
        for i, expected in enumerate(events):
            for name in ("voxels", "charge", "semantics", "clusters"):
                assert same(store[name][i], expected[name]), (i, name)
            assert same(store["particles"][i]["shape"], expected["particles"]["shape"])
            assert (store["particles"][i]["vtx_y"] == 2.5).all()
            assert (store["particles"][i]["trackid"] == -1).all()
            assert store["meta"][i]["size_x"][0] == pytest.approx(0.3)
        assert store.products["particles"].codes["process"] == {0: "compt"}


def test_larcv3_ids_count_with_z_fastest():
    """Index 1 of larcv3 is (0, 0, 1), of LArCV2 (1, 0, 0)."""
    assert row_major([[0, 0, 1]]).tolist() == [1]
    assert voxel_id(np.array([[1, 0, 0]]), SHAPE).tolist() == [1]


def test_larcv3_that_does_not_add_up(tmp_path, events):
    def spoiled(name, change):
        path = tmp_path / f"{name}.h5"
        write_larcv3(path, events)
        with h5py.File(path, "r+") as file:
            change(file["Data"])
        return path

    def two_projections(data):
        rows = data["sparse3d_pcluster_group/extents"][:]
        rows["n"][3] = 2
        data["sparse3d_pcluster_group/extents"][:] = rows

    def drop(data):
        del data["cluster3d_pcluster_group/voxels"]

    def fewer(data):
        rows = data["particle_pcluster_group/extents"][:-1]
        del data["particle_pcluster_group/extents"]
        data["particle_pcluster_group/extents"] = rows

    def beyond(data):
        rows = data["sparse3d_pcluster_group/voxels"][:]
        rows["id"][-1] = 20 * 30 * 40 + 7  # (20, 0, 7), which counted the other way round is a voxel of the box
        data["sparse3d_pcluster_group/voxels"][:] = rows

    for name, change, reason in (
        ("beyond", beyond, "entry 7: voxel ids run from [0-9]* to 24007, beyond the box of 20×30×40 voxels"),
        ("two", two_projections, "entry 3: .* has 2 projections"),
        ("fewer", fewer, "particle_pcluster has 7 entries, event_id has 8"),
    ):
        with pytest.raises(WeftError, match=reason):
            convert_file(spoiled(name, change), tmp_path / "a.h5")
    with pytest.raises(WeftError, match="no cluster3d group cluster3d_x for clusters"):
        convert_file(spoiled("ok", lambda data: None), tmp_path / "a.h5", products={"clusters": "cluster3d_x"})
    with pytest.raises(WeftError, match="cluster3d_pcluster_group cannot be read as larcv3 wrote it"):
        convert_file(spoiled("drop", drop), tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def test_other_hdf5_files_are_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["wires"] = np.zeros(3)
    with pytest.raises(WeftError, match="HDF5 with wires; expected PILArNet-M"):
        convert_file(tmp_path / "x.h5", tmp_path / "a.h5")
    write_larcv3(tmp_path / "cut.h5", [event(1, 50)])
    data = (tmp_path / "cut.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeftError, match="truncated"):
        convert_file(tmp_path / "cut.h5", tmp_path / "a.h5")
    convert = tmp_path / "store.h5"
    write_larcv3(tmp_path / "ok.h5", [event(1, 50)])
    convert_file(tmp_path / "ok.h5", convert)
    with pytest.raises(WeftError, match="already an event store"):
        convert_file(convert, tmp_path / "a.h5")
