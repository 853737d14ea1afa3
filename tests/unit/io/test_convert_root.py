import hashlib

import awkward as ak
import numpy as np
import pytest
import uproot
from small_events import SHAPE, event, same, write_root

from weft.errors import WeftError
from weft.io.convert import convert_file, recognise
from weft.io.identity import split_fraction
from weft.io.lartpc import Clusters, EventBuilder, VoxelSet, particle_rows
from weft.io.products import META
from weft.io.root_tree import plain_name
from weft.io.store import EventStore


def written(path):
    return path.with_name("out.h5")


def test_members_have_one_plain_name():
    assert plain_name("a_branch/larcv::ParticleSet/_part_v/_part_v._vtx._x") == "part_v.vtx.x"
    assert plain_name("_meta._p1.x") == plain_name("_meta._p1._x") == "meta.p1.x"
    assert plain_name("_run") == "run"


def test_our_root_becomes_the_event_it_was(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    assert recognise(path) == "weft"
    done = convert_file(path, written(path))
    assert done.events == 8
    assert done.skipped == {}
    with EventStore.open(written(path)) as store:
        assert store.content_hash == done.content_hash
        assert store.events["run"].tolist() == [1] * 8
        assert store.events["subrun"].tolist() == [2] * 8
        for i, expected in enumerate(events):
            for name in ("voxels", "charge", "semantics", "clusters"):
                assert same(store[name][i], expected[name]), (i, name)
            found = store["particles"][i]
            for name in ("id", "pdg", "shape", "num_voxels", "px", "p", "vtx_x", "process"):
                assert np.array_equal(found[name], expected["particles"][name]), name
            assert np.isnan(found["end_px"]).all()
            assert (found["trackid"] == -1).all()
            assert np.allclose(store["meta"][i]["min_z"], -3.0)
            assert store["meta"][i]["nz"] == SHAPE[2]
        assert store.products["particles"].codes["process"] == {0: "primary", 7: "muIoni"}
        provenance = store.files["0"].provenance
        assert provenance["source"]["provenance"] == {"seed": 4}
        assert "trackid" in provenance["notes"]["particle_pcluster lacks"]


def test_ranges_join_to_the_whole_with_the_same_ids(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    convert_file(path, tmp_path / "all.h5")
    convert_file(path, tmp_path / "a.h5", stop=3)
    convert_file(path, tmp_path / "b.h5", start=3)
    with EventStore.open(tmp_path / "all.h5") as whole:
        for name, first in (("a", 0), ("b", 3)):
            with EventStore.open(tmp_path / f"{name}.h5") as part:
                assert np.array_equal(part.events, whole.events[first : first + len(part)])
                assert all(same(part["charge"][k], whole["charge"][first + k]) for k in range(len(part)))
    with pytest.raises(WeftError, match="entries 3 to 9 of 8 do not exist"):
        convert_file(path, tmp_path / "c.h5", start=3, stop=9)


def test_splits_by_hash_are_disjoint_and_complete(tmp_path):
    path = tmp_path / "events.root"
    write_root(path, [event(i, 5) for i in range(30)])
    seen = []
    for k, keep in enumerate([(0, 0.7), (0.7, 1.0)]):
        done = convert_file(path, tmp_path / f"{k}.h5", keep=keep)
        with EventStore.open(tmp_path / f"{k}.h5") as store:
            assert len(store) == done.events
            fraction = split_fraction(store.events["uid"])
            assert ((fraction >= keep[0]) & (fraction < keep[1])).all()
            seen += store.events["event"].tolist()
    assert sorted(seen) == list(range(30))


def test_blocks_do_not_change_the_content(tmp_path, events, monkeypatch):
    path = tmp_path / "events.root"
    write_root(path, events)
    whole = convert_file(path, tmp_path / "a.h5").content_hash
    for size in (1, 2000, 9000):
        monkeypatch.setattr("weft.io.root_source.BLOCK_BYTES", size)
        assert convert_file(path, tmp_path / "b.h5").content_hash == whole


def test_memory_does_not_grow_with_the_number_of_events(tmp_path, monkeypatch):
    """Peak of traced allocations; kept data would add 70 kB per event."""
    import tracemalloc

    monkeypatch.setattr("weft.io.root_source.BLOCK_BYTES", 500_000)
    write_root(tmp_path / "events.root", [event(i % 7, 2000) for i in range(90)])

    def peak(stop):
        tracemalloc.start()
        convert_file(tmp_path / "events.root", tmp_path / "a.h5", stop=stop)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    assert peak(90) < peak(30) + 1_000_000


def test_products_choose_and_leave_out(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    convert_file(path, tmp_path / "a.h5", products={"clusters": None, "particles": None})
    with EventStore.open(tmp_path / "a.h5") as store:
        assert set(store.products) == {"meta", "voxels", "charge", "semantics"}
    convert_file(path, tmp_path / "b.h5", products={"charge": "sparse3d_pcluster_semantics", "semantics": None})
    with EventStore.open(tmp_path / "b.h5") as store:
        assert same(store["charge"][0], events[0]["semantics"].astype(np.float32))
        assert "sparse3d_pcluster" in store
        rows = store["sparse3d_pcluster"][0]
        assert np.array_equal(rows["value"], events[0]["charge"][:, 0])
    for products, reason in (
        ({"charge": "sparse3d_other"}, "no tree sparse3d_other_tree"),
        ({"charge": "particle_pcluster"}, "made from a sparse3d tree"),
        ({"points": "sparse3d_pcluster"}, "products names points"),
    ):
        with pytest.raises(WeftError, match=reason):
            convert_file(path, tmp_path / "c.h5", products=products)
    assert not (tmp_path / "c.h5").exists()


def test_without_a_charge_the_clusters_are_added_up(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events, skip=("sparse3d_pcluster_tree", "sparse3d_pcluster_semantics_tree"))
    convert_file(path, tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        for i, expected in enumerate(events):
            assert same(store["voxels"][i], expected["voxels"])
            assert same(store["semantics"][i], expected["semantics"])
            assert (store["charge"][i] == 0.5).all()


def test_without_semantics_the_particles_label_the_voxels(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events, skip=("sparse3d_pcluster_semantics_tree",))
    convert_file(path, tmp_path / "a.h5")
    with EventStore.open(tmp_path / "a.h5") as store:
        assert all(same(store["semantics"][i], e["semantics"]) for i, e in enumerate(events))
        assert all(same(store["charge"][i], e["charge"]) for i, e in enumerate(events))


# ------------------------------------------------------------------------------------------- one clear line each


def refused(path, reason, **options):
    with pytest.raises(WeftError, match=reason) as caught:
        convert_file(path, written(path), **options)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not written(path).exists()
    assert not list(path.parent.glob(".*"))


def test_a_truncated_file(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    data = path.read_bytes()
    for size in (len(data) - 100, len(data) // 2, 300, 10):
        path.write_bytes(data[:size])
        refused(path, "truncated")


def test_damaged_bytes(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    with uproot.open(path) as file:
        basket = file["sparse3d_pcluster_tree"]["_voxel_v._value"].member("fBasketSeek")[0]
    data = bytearray(path.read_bytes())
    data[basket + 4 : basket + 400] = b"\xff" * 396
    path.write_bytes(data)
    refused(path, "cannot be read")


def test_a_file_that_is_none(tmp_path):
    refused(tmp_path / "none.root", "no such file")
    (tmp_path / "text.root").write_text("hello, world")
    refused(tmp_path / "text.root", "neither ROOT nor HDF5")


def test_a_kind_that_the_file_is_not(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    refused(path, "asked to read as pilarnet, but the file is weft", kind="pilarnet")
    with pytest.raises(WeftError, match="source kind is 'csv'"):
        convert_file(path, written(path), kind="csv")


def test_no_trees(tmp_path):
    path = tmp_path / "histograms.root"
    with uproot.recreate(path) as file:
        file["h"] = np.histogram([1, 2, 3])
    refused(path, r"no LArCV tree .* the file holds h \(TH1")


def test_a_missing_tree(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events, skip=("cluster3d_pcluster_tree",))
    refused(path, "no tree cluster3d_pcluster_tree for clusters", products={"clusters": "cluster3d_pcluster"})


def test_a_missing_member(tmp_path, events):
    path = tmp_path / "events.root"
    rows = {"_run": np.ones(8), "_subrun": np.ones(8), "_event": np.arange(8), "_x": np.ones(8)}
    write_root(path, events, change={"sparse3d_pcluster_tree": rows})
    refused(path, "sparse3d_pcluster_tree: no member voxel_v.id; it has run, subrun, event, x")


def test_unequal_entry_counts(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    few = tmp_path / "few.root"
    write_root(few, events[:5])
    with uproot.open(few) as file, uproot.update(path) as out:
        del out["particle_pcluster_tree"]
        tree = file["particle_pcluster_tree"]
        out.mktree("particle_pcluster_tree", {"_run": "u8", "_part_v._id": "var * int32"})
        out["particle_pcluster_tree"].extend({"_run": np.ones(5, "u8"), "_part_v._id": tree["_part_v._id"].array()})
    refused(path, "unequal entry counts: .*particle_pcluster 5")


def test_trees_of_other_events(tmp_path, events):
    path = tmp_path / "events.root"
    numbers = {"_run": np.ones(8, "u8"), "_subrun": np.full(8, 2, "u8"), "_event": np.arange(8, dtype="u8") % 7}
    rows = ak.zip({"_x": ak.unflatten(np.ones(8), np.ones(8, int))})
    write_root(path, events, change={"neutrino_mpv_tree": {**numbers, "_part_v": rows}})
    refused(path, "neutrino_mpv_tree: entry 7 is event 1/2/0, in sparse3d_pcluster_tree 1/2/7")


def test_trees_of_an_unsupported_class(tmp_path):
    path = tmp_path / "flashes.root"
    with uproot.recreate(path) as file:
        file.mktree("opflash_pmt_tree", {"_run": "u8", "_x": "f8"})
        file["opflash_pmt_tree"].extend({"_run": np.ones(3), "_x": np.ones(3)})
    refused(path, "no tree of a supported type .* it has opflash_pmt")


def test_an_unsupported_tree_beside_others_is_reported(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events, change={"opflash_pmt_tree": {"_run": np.ones(8), "_x": np.ones(8)}})
    done = convert_file(path, written(path))
    assert done.skipped == {"opflash_pmt": "trees of type opflash are not supported"}
    with EventStore.open(written(path)) as store:
        assert store.files["0"].provenance["skipped"] == done.skipped


def test_sizes_of_clusters_are_checked_against_the_particles(tmp_path, events):
    path = tmp_path / "events.root"
    events[3]["particles"]["num_voxels"][0] += 1
    write_root(path, events)
    refused(path, "entry 3: particle 0 states")


def test_neutrinos_become_a_table(tmp_path, events):
    counts = [1, 0, 2, 1, 0, 0, 1, 1]
    neutrinos = ak.zip(
        {
            "_pdg_code": ak.unflatten(np.full(6, 14, "i4"), counts),
            "_energy": ak.unflatten(np.arange(6.0), counts),
        }
    )
    numbers = {"_run": np.ones(8, "u8"), "_subrun": np.full(8, 2, "u8"), "_event": np.arange(8, dtype="u8")}
    path = tmp_path / "events.root"
    write_root(path, events, change={"neutrino_mpv_tree": {**numbers, "_part_v": neutrinos}})
    convert_file(path, written(path))
    with EventStore.open(written(path)) as store:
        assert store["neutrino_mpv"].counts.tolist() == counts
        assert store["neutrino_mpv"][2].tolist() == [(14, 1.0), (14, 2.0)]


# ------------------------------------------------------------------------------------------- the event builder


def meta():
    rows = np.zeros(1, META.dtype)
    for k, a in enumerate("xyz"):
        rows[f"n{a}"], rows[f"size_{a}"] = SHAPE[k], 0.3
    return rows


def u8(*ids):
    return np.array(ids, np.uint64)


def test_unsorted_and_repeated_voxels_are_put_in_order():
    builder = EventBuilder(charge=True, semantics=False, clusters=False, particles=False)
    event = builder.build("here", meta(), charge=VoxelSet(u8(21, 0, 21), np.array([1.0, 2.0, 4.0])))
    assert event["voxels"].tolist() == [[0, 0, 0], [1, 1, 0]]
    assert event["charge"].tolist() == [2.0, 5.0]


def test_semantics_of_other_voxels_are_refused():
    builder = EventBuilder(charge=True, semantics=True, clusters=False, particles=False)
    charge = VoxelSet(u8(1, 2, 3), np.ones(3))
    with pytest.raises(WeftError, match="3 voxels and the charge of 3, of which 2 agree"):
        builder.build("here", meta(), charge=charge, semantics=VoxelSet(u8(1, 2, 4), np.zeros(3)))
    with pytest.raises(WeftError, match="whole 0 to 6"):
        builder.build("here", meta(), charge=charge, semantics=VoxelSet(u8(1, 2, 3), np.array([0, 1, 7])))
    event = builder.build("here", meta(), charge=charge, semantics=VoxelSet(u8(3, 1, 2), np.array([6, 5, 0])))
    assert event["semantics"].tolist() == [5, 0, -1], "sorted by id, unknown is −1"


def test_voxels_beyond_the_box_are_refused():
    builder = EventBuilder(charge=True, semantics=False, clusters=False, particles=False)
    with pytest.raises(WeftError, match="id 24000 lies beyond the box of 20×30×40"):
        builder.build("here", meta(), charge=VoxelSet(u8(24000), np.ones(1)))
    # 2⁶³ and more: as a signed or 32-bit number it would be small or negative
    for large in (2**32, 2**63, 2**64 - 1):
        with pytest.raises(WeftError, match=f"id {large} lies beyond the box"):
            builder.build("here", meta(), charge=VoxelSet(u8(large), np.ones(1)))


@pytest.mark.parametrize("number", [2**31, 2**32 + 20, -1])
def test_a_box_whose_voxels_have_no_number_is_refused(number):
    box = meta()
    box["nx"] = number
    builder = EventBuilder(charge=True, semantics=False, clusters=False, particles=False)
    with pytest.raises(WeftError, match=f"here: a box of {number}×30×40 voxels; voxel numbers are below 2³¹"):
        builder.build("here", box, charge=VoxelSet(u8(), np.ones(0)))


def test_clusters_follow_the_ids_of_particles_and_the_rest_is_counted():
    builder = EventBuilder(charge=True, semantics=False, clusters=True, particles=True)
    particles = particle_rows(2, {"id": np.array([2, 0]), "shape": np.array([1, 0]), "num_voxels": np.array([1, 2])})
    clusters = Clusters(u8(5, 6, 7, 8, 9), np.arange(5.0), np.array([0, 2, 3, 4, 5]))
    event = builder.build("here", meta(), VoxelSet(u8(5, 8), np.ones(2)), None, clusters, particles)
    assert [item.tolist() for item in event["clusters"]] == [[(1, 3.0)], [(0, 0.0)]]
    assert event["semantics"].tolist() == [0, 1]
    assert builder.notes == {
        "clusters without a particle, left out": 2,
        "voxels of clusters that are not in the image, left out": 1,
    }
    twins = particle_rows(2, {"id": np.array([1, 1])})
    advice = (
        "cannot be matched with 4 clusters.*: `--product clusters=none`, in a dataset `products: {clusters: null}`$"
    )
    with pytest.raises(WeftError, match=advice):
        builder.build("here", meta(), VoxelSet(u8(5), np.ones(1)), None, clusters, twins)


def test_sentinels_become_minus_one():
    rows = particle_rows(
        4,
        {
            "trackid": np.array([0, 7, 2**32 - 1, 2**31 - 1], np.uint32),
            "id": np.array([0, 65535, 1, 2], np.uint16),
            "group_id": np.array([2**63 - 1, 2**64 - 1, 65535, 3], np.uint64),
            "parent_id": np.array([2**63 - 1, 0, -1, 3], np.int64),
            "px": np.array([3.0, 0, 0, 0]),
            "py": np.array([4.0, 0, 0, 0]),
            "pz": np.zeros(4),
        },
    )
    assert rows["trackid"].tolist() == [0, 7, -1, 2**31 - 1]
    assert rows["id"].tolist() == [0, -1, 1, 2]
    assert rows["group_id"].tolist() == [-1, -1, -1, 3]
    assert rows["parent_id"].tolist() == [-1, 0, -1, 3]
    assert rows["p"].tolist() == [5.0, 0.0, 0.0, 0.0]
    assert (rows["pdg"] == -1).all()
    assert np.isnan(rows["energy_init"]).all()
    with pytest.raises(WeftError, match="genid runs from"):
        particle_rows(1, {"genid": np.array([2**40], np.uint64)})


def test_progress_and_the_hash_of_the_source(tmp_path, events):
    path = tmp_path / "events.root"
    write_root(path, events)
    done = []
    convert_file(path, tmp_path / "a.h5", progress=lambda *n: done.append(n))
    assert done == [(k + 1, len(events)) for k in range(len(events))]
    done.clear()
    convert_file(path, tmp_path / "b.h5", start=2, stop=4, progress=lambda *n: done.append(n))
    assert done == [(1, 2), (2, 2)]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for name, inputs in (("a", {"events.root": digest}), ("b", {})):  # a part's hash would cost more than the part
        with EventStore.open(tmp_path / f"{name}.h5") as store:
            assert store.files["0"].provenance["inputs"] == inputs
