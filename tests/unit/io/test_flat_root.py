"""Tables that share one tree of a ROOT file, read back with uproot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from small_events import write_store

from weft.errors import WeftError
from weft.io import predictions_root
from weft.io.predictions_root import store_to_root
from weft.io.products import Column, Filtered, Ragged, Schema, structured

_dtype, _columns = structured(("x", "f4", "cm", "x"), ("kind", "i1", "", "kind"))
POINTS = Schema("points", "table", _dtype, _columns, codes={"kind": {0: "start", 1: "end"}})
PAIRS = Schema("pairs", "table", np.dtype("f4"), (Column("a", "cm"), Column("b")))
KEPT = Schema("kept", "table", np.dtype("f4"), (Column("score"),), on="points", filtered=True)
ITEMS = Schema("items", "list", np.dtype("i4"), (Column("row"),), on="points", items_on="pairs")


@pytest.fixture
def made() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    events = []
    for n in (3, 0, 5, 1):  # an empty event among them
        points = np.zeros(n, _dtype)
        points["x"], points["kind"] = rng.normal(size=n), rng.integers(0, 2, n)
        index = np.flatnonzero(points["kind"])
        kept = Filtered(rng.random((len(index), 1)), index)
        pairs = rng.normal(size=(n % 2, 2))
        items = Ragged(np.arange(n), np.array([0, n]) if n % 2 else np.array([0]))
        events.append(
            {
                "points": points,
                "pairs": pairs,
                "kept": kept,
                "items": items if n % 2 else Ragged.of([], np.empty(0, np.int32)),
            }
        )
    return events


def store_of(made: list[dict[str, Any]], path: Path, *schemas: Schema) -> Path:
    write_store(path, [{schema.name: event[schema.name] for schema in schemas} for event in made], schemas)
    return path


@pytest.mark.parametrize("rows", [1_000_000, 1, 4])
def test_every_column_is_a_branch_that_is_read_back(
    made: list[dict[str, Any]], tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions_root, "_ROWS", rows)  # baskets of all events, of one, of some
    path = store_of(made, tmp_path / "s.h5", POINTS, PAIRS, KEPT)
    names = ["points", "pairs", "kept"]
    assert store_to_root({"prediction": path}, tmp_path / "s.root", together={"mine": names}) == ["mine"]
    with uproot.open(tmp_path / "s.root") as file:
        assert file.keys(cycle=False, filter_classname="TTree") == ["mine"]
        arrays = file["mine"].arrays()
        assert json.loads(file["weft_codes"]) == {"points.kind": {"0": "start", "1": "end"}}
        assert json.loads(file["weft_units"]) == {"points.x": "cm", "pairs.a": "cm"}
        provenance = json.loads(file["weft_provenance"])
    assert set(provenance["inputs"]) == {"prediction"}
    assert provenance["products"] == [f"prediction/{name}" for name in names]
    assert set(arrays.fields) == {
        "run", "subrun", "event", "uid", "npoints", "points_x", "points_kind",
        "npairs", "pairs_a", "pairs_b", "nkept", "kept_score", "kept_index",
    }  # fmt: skip
    assert arrays["event"].tolist() == list(range(len(made)))
    assert arrays["npoints"].tolist() == [3, 0, 5, 1]
    for i, event in enumerate(made):
        np.testing.assert_array_equal(arrays["points_x"][i], event["points"]["x"])
        np.testing.assert_array_equal(arrays["points_kind"][i], event["points"]["kind"])
        np.testing.assert_allclose(arrays["pairs_b"][i], event["pairs"][:, 1], rtol=1e-6)
        np.testing.assert_array_equal(arrays["kept_index"][i], event["kept"].index)
        np.testing.assert_allclose(arrays["kept_score"][i], event["kept"].values[:, 0], rtol=1e-6)
    assert ak.type(arrays["points_kind"]).content.content == ak.types.NumpyType("int8")


def test_what_shares_no_tree_has_its_own(made: list[dict[str, Any]], tmp_path: Path) -> None:
    path = store_of(made, tmp_path / "s.h5", POINTS, PAIRS, KEPT, ITEMS)
    trees = store_to_root(path, tmp_path / "s.root", together={"mine": ["points"]})
    assert sorted(trees) == ["items_weft_tree", "kept_weft_tree", "mine", "pairs_weft_tree"]
    with uproot.open(tmp_path / "s.root") as file:
        index = file["kept_weft_tree"]["_v._index"].array()
    assert index.tolist() == [event["kept"].index.tolist() for event in made]


def test_anything_but_tables_is_refused_before_a_byte_is_written(made: list[dict[str, Any]], tmp_path: Path) -> None:
    path = store_of(made, tmp_path / "s.h5", POINTS, PAIRS, ITEMS)
    with pytest.raises(WeftError, match=r"s\.root: the tree 'mine' holds tables, .* items is a list"):
        store_to_root(path, tmp_path / "s.root", together={"mine": ["points", "items"]})
    assert not list(tmp_path.glob("*.root*"))


def test_of_no_events_the_trees_are_there(tmp_path: Path) -> None:
    path = store_of([], tmp_path / "s.h5", POINTS, KEPT)
    assert store_to_root(path, tmp_path / "s.root", together={"mine": ["points"]}) == ["kept_weft_tree", "mine"]
    with uproot.open(tmp_path / "s.root") as file:
        assert "weft_provenance" in file
        assert file["mine"].num_entries == 0
        assert "points_x" in file["mine"].keys()  # noqa: SIM118
