import json

import h5py
import numpy as np
import pytest
import yaml
from small_events import event, write_root, write_store

from weft.config import load_dataset
from weft.errors import WeftError
from weft.io.check import check
from weft.io.inspect import describe, render, run, shard_ranges, write_manifest
from weft.io.products import Column, Schema


def printed(capsys, *arguments, **options):
    run(*arguments, **options)
    return capsys.readouterr().out


def test_a_store_is_described(tmp_path, events, capsys):
    content = write_store(tmp_path / "a.h5", events, parents={"truth": "ab"})
    found = describe(tmp_path / "a.h5", event=1)
    assert found["events"] == 8
    assert found["content_hash"] == content
    assert found["parents"] == {"truth": "ab"}
    assert found["provenance"] == {"made": "by a test"}
    assert found["products"]["charge"]["columns"]["energy"]["unit"] == "MeV"
    assert found["products"]["voxels"]["total"] == sum(len(e["voxels"]) for e in events)
    assert found["event"]["run"] == 1
    assert found["event"]["products"]["clusters"]["items"] == len(events[1]["clusters"])
    first = found["event"]["products"]["semantics"]["rows"][0]["class"]
    assert first in ("shower", "track", "michel", "delta", "low_energy")
    json.dumps(found)
    render(found)
    text = printed(capsys, [tmp_path / "a.h5"], event=1)
    for word in ("charge", "[MeV]", "by a test", content[:20], "event 1: clusters"):
        assert word in text
    with pytest.raises(WeftError, match="no event 8; it has 8"):
        describe(tmp_path / "a.h5", event=8)


def test_the_hash_alone(tmp_path, events, capsys):
    content = write_store(tmp_path / "a.h5", events)
    assert printed(capsys, [tmp_path / "a.h5"], hash_only=True) == content + "\n"
    both = printed(capsys, [tmp_path / "a.h5"] * 2, hash_only=True)
    assert both.count(content) == 2


def test_sources_and_models_are_described(tmp_path, events, capsys):
    write_root(tmp_path / "events.root", events)
    found = describe(tmp_path / "events.root")
    assert found["kind"] == "weft"
    assert found["events"] == 8
    assert set(found["products"]) == {"meta", "voxels", "charge", "semantics", "particles", "clusters"}
    with pytest.raises(WeftError, match="convert it first"):
        describe(tmp_path / "events.root", event=0)
    (tmp_path / "model.json").write_text('{"stage": "uresnet", "seeds": {"seed": 1}}')
    (tmp_path / "model.ckpt").write_bytes(b"weights")
    assert describe(tmp_path / "model.ckpt")["record"]["stage"] == "uresnet"
    assert "uresnet" in printed(capsys, [tmp_path / "events.root", tmp_path / "model.ckpt"])
    with pytest.raises(WeftError, match="no such file"):
        describe(tmp_path / "none.h5")


def test_a_manifest_covers_every_entry_once(tmp_path, events, capsys):
    write_root(tmp_path / "a.root", events)
    write_root(tmp_path / "b.root", events[:5])
    both = [tmp_path / "a.root", tmp_path / "b.root"]
    ranges = shard_ranges(both, 3)
    assert [r[1:] for r in ranges] == [(0, 3), (3, 6), (6, 8), (0, 3), (3, 5)]
    assert "5 shards" in printed(capsys, both, manifest=tmp_path / "m.csv", events_per_shard=3)
    lines = (tmp_path / "m.csv").read_text().splitlines()
    assert lines[0] == "file,start,stop"
    assert lines[-1] == f"{tmp_path / 'b.root'},3,5"
    with pytest.raises(WeftError, match=r"m\.parquet: a manifest is a \.csv file"):
        write_manifest(ranges, tmp_path / "m.parquet")
    with pytest.raises(WeftError, match="at least 1"):
        shard_ranges([tmp_path / "a.root"], 0)
    assert sorted(p.name for p in tmp_path.glob("m.*")) == ["m.csv"]


def test_a_manifest_lists_only_what_is_converted(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    (tmp_path / "model.ckpt").write_bytes(b"weights of a model")
    with pytest.raises(WeftError, match=r"a\.h5: already an event store: .* neither datasets nor manifests list it"):
        shard_ranges([tmp_path / "a.h5"], 3)
    with pytest.raises(WeftError, match=r"model\.ckpt: neither ROOT nor HDF5"):
        shard_ranges([tmp_path / "model.ckpt"], 3)


def test_a_manifest_is_read_by_a_dataset(tmp_path, events):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_root(tmp_path / folder / "a.root", events)
    ranges = shard_ranges([tmp_path / "x/a.root", tmp_path / "y/a.root"], 5)
    write_manifest(ranges, tmp_path / "m.csv")
    document = {"name": "own", "source": "files", "manifest": str(tmp_path / "m.csv")}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(document | {"splits": {"all": {"fraction": 1.0}}}))
    shards = load_dataset(tmp_path / "own.yaml").shards("all")
    assert [shard[1:] for shard in shards] == ranges
    assert len({shard.id for shard in shards}) == 4


def test_a_sound_store_has_no_problems(tmp_path, events, capsys):
    write_store(tmp_path / "a.h5", events)
    assert check(tmp_path / "a.h5") == []
    assert "no problem found" in printed(capsys, [tmp_path / "a.h5"], check=True)


def damage(path, change):
    with h5py.File(path, "r+") as file:
        change(file["products"])


def set_value(dataset, i, value):
    rows = dataset[:]
    rows[i] = value
    dataset[:] = rows


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: set_value(p["charge/values"], 3, np.nan), "charge: event .: values that are not finite"),
        (lambda p: set_value(p["semantics/values"], 3, 9), "classes from . to 9"),
        (lambda p: set_value(p["voxels/values"], 3, 99), "voxels beyond the box of 20×30×40"),
        (lambda p: set_value(p["voxels/values"], 3, 0), "not sorted by id"),
        (lambda p: set_value(p["voxels/offsets"], 1, 10**6), "offsets do not increase"),
        (lambda p: set_value(p["charge/offsets"], 1, 0), "has 0 of charge, but"),
        (lambda p: set_value(p["clusters/values"], 0, (10**6, 1.0)), "row numbers beyond"),
    ],
)
def test_damage_is_named(tmp_path, change, reason, capsys):
    import re

    write_store(tmp_path / "a.h5", [event(5, 40), event(6, 40)])
    damage(tmp_path / "a.h5", change)
    problems = check(tmp_path / "a.h5")
    assert any("content differs" in p for p in problems)
    assert any(re.search(reason, p) for p in problems), problems
    with pytest.raises(WeftError, match=r"problems? found in 1 file"):
        run([tmp_path / "a.h5"], check=True)
    assert re.search(reason, capsys.readouterr().out)


def test_values_that_a_writer_let_through_are_named(tmp_path):
    bad = event(5, 40)
    bad["voxels"] = bad["voxels"][::-1]
    bad["charge"][3] = np.inf
    write_store(tmp_path / "a.h5", [event(4), bad])
    assert check(tmp_path / "a.h5") == [
        f"{tmp_path / 'a.h5'}: charge: event 1: values that are not finite",
        f"{tmp_path / 'a.h5'}: voxels: event 1: voxels are not sorted by id, or not unique",
    ]
    schema = Schema("volume", "dense", np.dtype("f4"), (Column("v"),))
    write_store(tmp_path / "d.h5", [{"volume": np.full((3, 3), np.nan)}], (schema,))
    assert check(tmp_path / "d.h5") == [f"{tmp_path / 'd.h5'}: volume: event 0: values that are not finite"]


def test_a_truncated_store_is_named(tmp_path, events):
    write_store(tmp_path / "a.h5", events)
    data = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(data[:-500])
    assert len(check(tmp_path / "a.h5")) == 1
