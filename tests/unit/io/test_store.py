import multiprocessing
import os
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_events import SCHEMAS, event, same, write_store

from weft.errors import WeftError
from weft.io.products import CHARGE, SEMANTICS, Column, EventId, Filtered, Nested, Ragged, Schema
from weft.io.store import EventStore, StoreWriter, content_hash

PREDICTED = (SEMANTICS,)


def test_what_was_written_is_read(tmp_path, events):
    written = write_store(tmp_path / "a.h5", events)
    with EventStore.open(tmp_path / "a.h5") as store:
        assert len(store) == 8
        assert store.content_hash == written == content_hash(tmp_path / "a.h5")
        assert store.events["event"].tolist() == list(range(8))
        for i, products in enumerate(events):
            for name, expected in products.items():
                assert same(store[name][i], expected), (i, name)
        assert same(store["voxels"][-1], events[-1]["voxels"])
        assert store["voxels"].counts.tolist() == [len(e["voxels"]) for e in events]
        assert store.products["charge"] == CHARGE
        with pytest.raises(IndexError):
            store["voxels"][8]
        with pytest.raises(TypeError, match=r"store\.read"):
            store["voxels"][0:2]


def test_a_run_of_events_is_its_single_events(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    with EventStore.open(tmp_path / "a.h5") as store:
        run = store.read("voxels", 1, 5)
        assert isinstance(run, Ragged)
        assert all(same(run[k], store["voxels"][1 + k]) for k in range(4))
        lists = store.read("clusters", 1, 5)
        assert isinstance(lists, Nested)
        assert all(same(lists.event(k), store["clusters"][1 + k]) for k in range(4))
        assert len(store.read("voxels", 3, 3)) == 0


def test_a_store_of_no_events(tmp_path):
    write_store(tmp_path / "a.h5", [])
    with EventStore.open(tmp_path / "a.h5") as store:
        assert len(store) == 0
        assert len(store.read("voxels", 0, 10)) == 0
        assert store["clusters"].counts.tolist() == []


@st.composite
def products(draw):
    """Random schemas and the arrays of a few events in them."""
    schemas, count = [], draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arrays = [{} for _ in range(count)]
    for k in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["table", "list", "dense"]))
        dtype = np.dtype(draw(st.sampled_from(["i1", "u2", "i4", "i8", "u8", "f4", "f8"])))
        columns = tuple(Column(f"c{c}", "cm") for c in range(draw(st.integers(1, 4))))
        if kind != "dense" and draw(st.booleans()):
            dtype = np.dtype([(c.name, draw(st.sampled_from(["i2", "f8"]))) for c in columns])
        schema = Schema(f"p{k}", kind, dtype, columns)
        schemas.append(schema)

        def rows(n, schema=schema):
            raw = rng.integers(0, 100, (n, *schema.width, 2))[..., 0]
            out = np.zeros((n, *schema.width), schema.dtype)
            for name in schema.dtype.names or ():
                out[name] = raw
            return out if schema.dtype.names else raw.astype(schema.dtype)

        for one in arrays:
            if kind == "table":
                one[schema.name] = rows(int(rng.integers(0, 9)))
            elif kind == "list":
                items = [rows(int(rng.integers(0, 5))) for _ in range(int(rng.integers(0, 4)))]
                one[schema.name] = Ragged.of(items, schema.empty())
            else:
                shape = tuple(rng.integers(0, 7, int(rng.integers(1, 4))))
                one[schema.name] = rng.integers(0, 100, shape).astype(dtype)
    return schemas, arrays


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=products())
def test_any_schema_makes_the_round_trip(tmp_path, case):
    schemas, arrays = case
    path = tmp_path / "any.h5"
    written = write_store(path, arrays, tuple(schemas))
    assert content_hash(path) == written
    with EventStore.open(path) as store:
        assert [store.products[s.name] for s in schemas] == schemas
        for i, one in enumerate(arrays):
            for name, expected in one.items():
                found = store[name][i]
                assert same(found, expected)
                assert (found.values if isinstance(found, Ragged) else found).dtype == store.products[name].dtype


def test_many_rows_cross_chunks(tmp_path):
    long = [event(0, 9000), event(1, 5000), event(2, 12000)]
    write_store(tmp_path / "a.h5", long)
    with EventStore.open(tmp_path / "a.h5") as store:
        assert all(same(store[n][i], long[i][n]) for i in (2, 0, 1) for n in long[0])
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["products/voxels/values"].chunks == (4096, 3)


def test_dense_products_are_read_in_slices(tmp_path):
    schema = Schema("volume", "dense", np.dtype("u2"), (Column("intensity"),))
    volume = np.arange(30 * 40 * 50, dtype=np.uint16).reshape(30, 40, 50)
    write_store(tmp_path / "a.h5", [{"volume": volume}], (schema,))
    with EventStore.open(tmp_path / "a.h5") as store:
        lazy = store["volume"][0]
        assert lazy.shape == volume.shape
        assert np.array_equal(lazy[3:5, :, 7], volume[3:5, :, 7])
        assert np.array_equal(np.asarray(lazy), volume)
        with pytest.raises(WeftError, match="dense"):
            store.read("volume", 0, 1)


def test_filtered_rows_carry_their_index(tmp_path, events):
    schema = Schema("hits", "table", np.dtype("f4"), (Column("score"),), on="voxels", filtered=True)
    rows = [{"hits": Filtered(np.ones(len(e["voxels"][::2])), np.arange(len(e["voxels"]))[::2])} for e in events]
    truth = write_store(tmp_path / "t.h5", events)
    write_store(tmp_path / "p.h5", rows, (schema,), parents={"truth": truth})
    with EventStore.open({"truth": tmp_path / "t.h5", "cut": tmp_path / "p.h5"}) as store:
        assert store["hits"].index(0).tolist() == rows[0]["hits"].index.tolist()
        assert store["charge"].index(0).tolist() == list(range(len(events[0]["voxels"])))
        assert same(store["voxels"][0][store["hits"].index(0)], events[0]["voxels"][::2])
    with pytest.raises(WeftError, match="increasing row number"):
        write_store(tmp_path / "q.h5", [{"hits": Filtered(np.ones(2), np.array([1, 1]))}], (schema,))


# ------------------------------------------------------------------------------------------- several files


def test_truth_and_predictions_open_as_one(tmp_path, events):
    truth = write_store(tmp_path / "t.h5", events)
    labels = [{"semantics": np.zeros_like(e["semantics"])} for e in events]
    write_store(tmp_path / "p.h5", labels, PREDICTED, parents={"truth": truth})
    with EventStore.open({"truth": tmp_path / "t.h5", "uresnet": tmp_path / "p.h5"}) as store:
        assert "truth/semantics" in store
        assert "voxels" in store
        assert "semantics" not in store
        assert set(store.products) >= {"truth/semantics", "uresnet/semantics", "charge"}
        assert same(store["uresnet/semantics"][1], labels[1]["semantics"])
        assert same(store["truth/semantics"][1], events[1]["semantics"])
        with pytest.raises(WeftError, match=r"truth/semantics.*uresnet/semantics"):
            store["semantics"]
        with pytest.raises(WeftError, match="no product 'points'"):
            store["points"]
    with EventStore.open([tmp_path / "t.h5", tmp_path / "p.h5"]) as store:
        assert same(store["1/semantics"][1], labels[1]["semantics"])


def test_predictions_in_another_order_or_of_a_range_are_joined_by_event(tmp_path, events):
    truth = write_store(tmp_path / "t.h5", events)
    some = [5, 3, 6]
    with StoreWriter(tmp_path / "p.h5", PREDICTED, provenance={}, parents={"truth": truth}) as writer:
        for i in some:
            writer.append(EventId(1, 2, i, 1000 + i), {"semantics": events[i]["semantics"]})
    with EventStore.open({"p": tmp_path / "p.h5", "truth": tmp_path / "t.h5"}) as store:
        assert store.events["event"].tolist() == some
        for k, i in enumerate(some):
            assert same(store["p/semantics"][k], store["truth/semantics"][k])
            assert same(store["clusters"][k], events[i]["clusters"])
        run, lists = store.read("voxels", 0, 3), store.read("clusters", 1, 3)
        assert all(same(run[k], events[i]["voxels"]) for k, i in enumerate(some))
        assert isinstance(lists, Nested)
        assert all(same(lists.event(k), events[some[1 + k]]["clusters"]) for k in range(2))
        assert len(store.read("clusters", 2, 2).event_offsets) == 1
    with pytest.raises(WeftError, match="lacks 5 of the 8 events"):
        EventStore.open({"truth": tmp_path / "t.h5", "p": tmp_path / "p.h5"})


def test_files_that_do_not_belong_together_are_refused(tmp_path, events):
    truth = write_store(tmp_path / "t.h5", events)
    other = [dict(e, charge=e["charge"] + 1) for e in events]
    write_store(tmp_path / "t2.h5", other)
    labels = [{"semantics": e["semantics"]} for e in events]
    write_store(tmp_path / "p.h5", labels, PREDICTED, parents={"truth": truth})
    EventStore.open({"truth": tmp_path / "t.h5", "p": tmp_path / "p.h5"}).close()
    with pytest.raises(WeftError, match="made from another 'truth'"):
        EventStore.open({"truth": tmp_path / "t2.h5", "p": tmp_path / "p.h5"})
    with pytest.raises(WeftError, match="do not belong together"):
        EventStore.open([tmp_path / "t2.h5", tmp_path / "p.h5"])
    with pytest.raises(WeftError, match="do not belong together"):
        EventStore.open([tmp_path / "t.h5", tmp_path / "t2.h5"])


def test_siblings_and_chains_of_predictions_belong_together(tmp_path, events):
    truth = write_store(tmp_path / "t.h5", events)
    first = [{"semantics": e["semantics"]} for e in events]
    a = write_store(tmp_path / "a.h5", first, PREDICTED, parents={"truth": truth})
    scores = Schema("ppn", "table", np.dtype("f4"), (Column("s"),))
    second = [{"ppn": np.zeros((1, 1))} for _ in events]
    write_store(tmp_path / "b.h5", second, (scores,), parents={"truth": truth, "uresnet": a})
    write_store(tmp_path / "c.h5", second, (scores,), parents={"a": a})
    EventStore.open([tmp_path / "a.h5", tmp_path / "b.h5"]).close()
    EventStore.open([tmp_path / "t.h5", tmp_path / "c.h5", tmp_path / "a.h5"]).close()
    with pytest.raises(WeftError, match="do not belong together"):
        EventStore.open([tmp_path / "t.h5", tmp_path / "c.h5"])


def test_row_counts_are_checked_across_files(tmp_path, events):
    truth = write_store(tmp_path / "t.h5", events)
    labels = [{"semantics": np.zeros(len(e["semantics"]) + (i == 4))} for i, e in enumerate(events)]
    labels = [{"semantics": x["semantics"].astype(np.int8)} for x in labels]
    write_store(tmp_path / "p.h5", labels, PREDICTED, parents={"truth": truth})
    with (
        EventStore.open({"truth": tmp_path / "t.h5", "p": tmp_path / "p.h5"}) as store,
        pytest.raises(WeftError, match="event 4 has"),
    ):
        store["p/semantics"]


# ------------------------------------------------------------------------------------------- refusals


def test_what_is_no_complete_store_is_refused_in_one_line(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    (tmp_path / "text.h5").write_text("not HDF5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:2000])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for name, change in (("open.h5", ("complete", False)), ("new.h5", ("format_version", 99))):
        (tmp_path / name).write_bytes((tmp_path / "a.h5").read_bytes())
        with h5py.File(tmp_path / name, "r+") as file:
            file.attrs[change[0]] = change[1]
    for name, reason in {
        "none.h5": "no such file",
        "text.h5": "truncated",
        "cut.h5": "truncated",
        "other.h5": "not an event store",
        "open.h5": "incomplete",
        "new.h5": "format version 99",
    }.items():
        with pytest.raises(WeftError, match=reason) as caught:
            EventStore.open(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(WeftError, match="at least one"):
        EventStore.open([])
    with pytest.raises(WeftError, match="cannot name"):
        EventStore.open({"a/b": tmp_path / "a.h5"})


# ------------------------------------------------------------------------------------------- processes


def _read(store):
    return [int(store["voxels"][i].sum()) for i in range(len(store))], os.getpid()


def test_forked_and_spawned_readers_open_their_own_handles(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    store = EventStore.open(tmp_path / "a.h5")
    expected, here = _read(store)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            for sums, pid in pool.map(_read, [store] * 4):
                assert sums == expected
                assert pid != here
    assert _read(store) == (expected, here)


def test_a_handle_opened_before_the_fork_is_not_used_after_it(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    store = EventStore.open(tmp_path / "a.h5")
    expected, _ = _read(store)
    mine, theirs = multiprocessing.Pipe()

    def child():
        inherited = store.files["0"]._handle
        theirs.send((_read(store)[0], store.files["0"]._handle is inherited))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert mine.recv() == (expected, False)
    process.join()
    assert _read(store)[0] == expected


def test_a_store_pickles_as_its_paths(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    store = EventStore.open({"truth": tmp_path / "a.h5"})
    store["voxels"][0]
    pickled = pickle.dumps(store)
    assert len(pickled) < 500
    assert same(pickle.loads(pickled)["truth/voxels"][3], events[3]["voxels"])


def test_five_lines_of_h5py_read_an_event(tmp_path, events):
    """The recipe of docs/event_store.md."""
    import hdf5plugin  # noqa: F401

    write_store(tmp_path / "a.h5", events)
    with h5py.File(tmp_path / "a.h5") as file:
        group = file["products/voxels"]
        start, stop = group["offsets"][1:3]
        assert np.array_equal(group["values"][start:stop], events[1]["voxels"])
        assert file["products/charge"].attrs["units"].tolist() == ["MeV"]


def test_schemas_of_the_standard_event_name_their_units():
    for schema in SCHEMAS:
        for column in schema.columns:
            assert column.unit or schema.dtype.kind == "i" or schema.dtype.names, (schema.name, column.name)


def test_rows_that_are_damaged_on_disk_are_named(tmp_path):
    write_store(tmp_path / "a.h5", [event(1, 6000), event(2, 6000)])
    with h5py.File(tmp_path / "a.h5") as file:
        chunk = file["products/charge/values"].id.get_chunk_info(1)
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    (tmp_path / "a.h5").write_bytes(data)
    with EventStore.open(tmp_path / "a.h5") as store, pytest.raises(WeftError, match=r"charge/values: rows 0 to 6000"):
        store["charge"][0]


def test_rows_are_those_of_the_file_that_was_made_from(tmp_path):
    """Of two files with nodes, rows on nodes belong to those that their file was made from."""
    nodes = Schema("nodes", "table", np.dtype("i4"), (Column("size"),))
    scores = Schema("scores", "table", np.dtype("f4"), (Column("score"),), on="nodes")
    event = EventId(1, 0, 0, 7)
    hashes = {}
    for name, count in (("truth", 1), ("first", 2), ("second", 3)):
        schema = Schema("seed", "table", np.dtype("i4"), (Column("n"),)) if name == "truth" else nodes
        parents = {} if name == "truth" else {"truth": hashes["truth"]}
        with StoreWriter(tmp_path / f"{name}.h5", [schema], parents=parents) as writer:
            writer.append(event, {schema.name: np.zeros((count, 1), np.int32)})
        hashes[name] = writer.content_hash
    parents = {name: hashes[name] for name in ("truth", "second")}
    with StoreWriter(tmp_path / "scores.h5", [scores], parents=parents) as writer:
        writer.append(event, {"scores": np.zeros((3, 1), np.float32)})
    files = {name: tmp_path / f"{name}.h5" for name in ("truth", "first", "second", "scores")}
    with EventStore.open(files) as store:
        assert len(store["scores"][0]) == 3
