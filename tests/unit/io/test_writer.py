import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from small_events import SCHEMAS, event, write_store

from weft.errors import WeftError
from weft.io import writer as writing
from weft.io.atomic import atomic_path
from weft.io.products import CHARGE, CLUSTERS, PARTICLES, VOXELS, EventId, Ragged, Schema
from weft.io.store import EventStore, StoreWriter, content_hash


def files(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"charge": np.zeros((3, 1))}, "charge has 3 rows, voxels has 10"),
        ({"charge": None}, "missing"),
        ({"voxels": np.zeros((10, 2), int)}, r"shape \(10, 2\)"),
        ({"clusters": Ragged(np.zeros(0, CLUSTERS.dtype), np.zeros(3, int))}, "2 items, particles has"),
        ({"clusters": np.zeros(3)}, "expected a Ragged"),
        ({"clusters": Ragged(np.zeros(2, CLUSTERS.dtype), np.array([0, 3]))}, "do not run from 0"),
    ],
)
def test_an_event_that_does_not_fit_is_refused_and_nothing_is_left(tmp_path, change, reason):
    bad = event(1, 10) | change
    if change.get("charge", 0) is None:
        del bad["charge"]
    with pytest.raises(WeftError, match=reason) as caught:
        write_store(tmp_path / "a.h5", [event(0), bad])
    assert "event 1/2/1 (number 1)" in str(caught.value)
    assert files(tmp_path) == []


def test_row_numbers_beyond_the_parent_are_refused(tmp_path):
    bad = event(1, 10)
    bad["clusters"].values["voxel"][0] = 10
    with pytest.raises(WeftError, match=r"clusters refers to rows \d to 10 of voxels, which has 10"):
        write_store(tmp_path / "a.h5", [bad])


def twice_the_same_id(path):
    with StoreWriter(path, [VOXELS]) as writer:
        for i in range(2):
            writer.append(EventId(1, 1, i, 7), {"voxels": np.zeros((1, 3), int)})


def fail_after_one(path, products):
    with StoreWriter(path, SCHEMAS) as writer:
        writer.append(EventId(1, 1, 1, 1), products)
        raise RuntimeError("the deploy failed")


def test_an_undeclared_product_and_a_repeated_id_are_refused(tmp_path):
    with pytest.raises(WeftError, match=r"not declared \['points'\]"):
        write_store(tmp_path / "a.h5", [event(0) | {"points": np.zeros(1)}])
    with pytest.raises(WeftError, match="same unique id"):
        twice_the_same_id(tmp_path / "a.h5")
    with pytest.raises(WeftError, match="declared twice"):
        StoreWriter(tmp_path / "a.h5", [VOXELS, VOXELS])
    assert files(tmp_path) == []


def test_an_old_file_survives_a_failed_writer(tmp_path, events):
    old = write_store(tmp_path / "a.h5", events)
    with pytest.raises(RuntimeError):
        fail_after_one(tmp_path / "a.h5", events[0])
    assert files(tmp_path) == ["a.h5"]
    assert content_hash(tmp_path / "a.h5") == old


SCRIPT = """
import sys, time
import numpy as np
from weft.io.products import VOXELS, EventId
from weft.io.store import StoreWriter
with StoreWriter(sys.argv[1], [VOXELS]) as writer:
    for i in range(10**9):
        writer.append(EventId(1, 1, i, i), {"voxels": np.zeros((5000, 3), np.int32)})
        if i == 20:
            print("writing", flush=True)
        time.sleep(0.001)
"""


def test_sigterm_leaves_nothing_and_sigkill_nothing_under_the_name(tmp_path):
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path / "a.h5"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        process.wait(20)
        process.stdout.close()
        assert process.returncode == (143 if number == signal.SIGTERM else -9)
        assert not (tmp_path / "a.h5").exists()
        if number == signal.SIGTERM:
            assert files(tmp_path) == []
    leftover = files(tmp_path)
    assert len(leftover) == 1
    write_store(tmp_path / "a.h5", [event(0)])
    assert files(tmp_path) == ["a.h5"], "the next writer removes what a killed one left"


def test_two_writers_of_one_target_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a.txt") as one:
        one.write_text("one")
        before = one.name
        assert str(os.getpid()) in before
    assert (tmp_path / "a.txt").read_text() == "one"
    handler = signal.getsignal(signal.SIGTERM)
    assert handler is signal.SIG_DFL


def test_strings_are_codes_with_a_table(tmp_path):
    with StoreWriter(tmp_path / "a.h5", [PARTICLES], provenance={}) as writer:
        for i, names in enumerate((["primary", "compt"], ["compt", "eIoni"])):
            rows = np.zeros(2, PARTICLES.dtype)
            rows["process"] = writer.encode("particles", "process", names)
            writer.append(EventId(1, 1, i, i), {"particles": rows})
    with EventStore.open(tmp_path / "a.h5") as store:
        assert store["particles"][1]["process"].tolist() == [1, 2]
        assert store.products["particles"].codes["process"] == {0: "primary", 1: "compt", 2: "eIoni"}


def test_the_hash_sees_content_and_meaning_only(tmp_path, events, monkeypatch):
    reference = write_store(tmp_path / "a.h5", events)
    monkeypatch.setattr(writing, "CHUNK_ROWS", 32)
    monkeypatch.setattr(writing, "compression", dict)
    assert write_store(tmp_path / "b.h5", events) == reference
    assert content_hash(tmp_path / "b.h5") == reference
    with StoreWriter(tmp_path / "c.h5", SCHEMAS, provenance={"made": "elsewhere", "wall_time_s": 9}) as writer:
        for i, products in enumerate(events):
            writer.append(EventId(1, 2, i, 1000 + i), products)
    assert writer.content_hash == reference

    def with_schema(**change):
        fields = {"name": "charge", "kind": "table", "dtype": CHARGE.dtype, "columns": CHARGE.columns, "on": "voxels"}
        changed = Schema(**{**fields, **change})
        return tuple(changed if s.name == "charge" else s for s in SCHEMAS)

    assert write_store(tmp_path / "d.h5", events, with_schema(description="other words")) == reference
    other_unit = tuple(type(c)(c.name, "keV") for c in CHARGE.columns)
    for k, change in enumerate(({"version": 2}, {"columns": other_unit}, {"dtype": np.dtype("f8")})):
        assert write_store(tmp_path / f"e{k}.h5", events, with_schema(**change)) != reference
    changed = [dict(e) for e in events]
    changed[0]["charge"] = changed[0]["charge"] * 2
    assert write_store(tmp_path / "f.h5", changed) != reference
    assert write_store(tmp_path / "g.h5", events, first=1) != reference, "the ids of events count"


def test_moving_a_row_to_the_next_event_changes_the_hash(tmp_path):
    a = [{"voxels": np.zeros((2, 3))}, {"voxels": np.zeros((1, 3))}]
    b = [{"voxels": np.zeros((1, 3))}, {"voxels": np.zeros((2, 3))}]
    a, b = ([{"voxels": e["voxels"].astype(int)} for e in x] for x in (a, b))
    assert write_store(tmp_path / "a.h5", a, (VOXELS,)) != write_store(tmp_path / "b.h5", b, (VOXELS,))


def test_damage_is_found_by_the_computed_hash(tmp_path, events):
    recorded = write_store(tmp_path / "a.h5", events)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        values = file["products/charge/values"]
        values[0] = values[0] + 1
    assert content_hash(tmp_path / "a.h5") != recorded


def test_memory_does_not_grow_with_the_number_of_events(tmp_path):
    import tracemalloc

    one = event(0, 500)

    def peak(count):
        tracemalloc.start()
        with StoreWriter(tmp_path / "a.h5", SCHEMAS, provenance={}) as writer:
            for i in range(count):
                writer.append(EventId(1, 1, i, i), one)
        with EventStore.open(tmp_path / "a.h5") as store:
            for i in range(count):
                store["voxels"][i], store["clusters"][i]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(100), peak(800)
    assert large < small + 800 * 200, "beyond ids and offsets, nothing is kept per event"


def test_a_file_is_read_as_soon_as_it_has_its_name(tmp_path, events):
    start = time.time()
    write_store(tmp_path / "deep" / "folder" / "a.h5", events)
    assert (tmp_path / "deep" / "folder" / "a.h5").stat().st_mtime >= start - 1
    EventStore.open(tmp_path / "deep" / "folder" / "a.h5").close()
