import json

import numpy as np
import pytest
from small_events import SCHEMAS

from weft.errors import WeftError
from weft.io.products import CLUSTERS, VOXELS, Column, Nested, Ragged, Schema, semantic_scores


@pytest.mark.parametrize("schema", [*SCHEMAS, semantic_scores()], ids=lambda s: s.name)
def test_a_schema_survives_json(schema):
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "a/b"}, "letters"),
        ({"kind": "heap"}, "expected table"),
        ({"columns": ()}, "at least one"),
        ({"dtype": np.dtype("U4")}, "integers or floats"),
        ({"dtype": np.dtype([("b", "f4")])}, "differ from the fields"),
        ({"items_on": "voxels"}, "only a list"),
        ({"filtered": True}, "can be filtered"),
        ({"kind": "dense", "on": "voxels"}, "no rows"),
        ({"kind": "list", "on": "voxels"}, "row numbers"),
        ({"codes": {"z": {0: "zero"}}}, "does not exist"),
    ],
)
def test_a_schema_without_meaning_is_refused(change, reason):
    fields = {"name": "charge", "kind": "table", "dtype": np.dtype("f4"), "columns": (Column("a"),)}
    with pytest.raises(WeftError, match=reason):
        Schema(**{**fields, **change})


def test_rows_are_brought_into_the_form_of_the_schema():
    one = Schema("one", "table", np.dtype("f4"), (Column("a"),))
    assert one.conform([1.5, 2.5], "here").shape == (2, 1)
    assert one.conform(np.array([[1.0]]), "here").dtype == np.float32
    code = Schema("code", "table", np.dtype("i1"), (Column("a"),))
    assert code.conform(np.array([3], np.int64), "here").dtype == np.int8
    pair = Schema("pair", "table", np.dtype([("a", "i4"), ("b", "f4")]), (Column("a"), Column("b")))
    swapped = np.array([(2.5, 1)], [("b", "f4"), ("a", "i4")])
    assert pair.conform(swapped, "here").tolist() == [(1, 2.5)]


@pytest.mark.parametrize("values", [np.array([300]), np.array([1.5]), np.zeros((2, 3)), np.float32(1)])
def test_rows_that_do_not_fit_are_refused(values):
    with pytest.raises(WeftError, match="here: code has"):
        Schema("code", "table", np.dtype("i1"), (Column("a"),)).conform(values, "here")


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**32 + 1, 2**33])
def test_large_integers_are_refused_and_do_not_wrap(value):
    voxels = np.array([[0, 0, value]], np.int64)
    with pytest.raises(WeftError, match=f"here: voxels has type int64 of .*{value}.*, expected int32"):
        VOXELS.conform(voxels, "here")
    rows = np.array([(value, 0.5)], [("voxel", "i8"), ("energy", "f4")])
    with pytest.raises(WeftError, match=rf"here: clusters\.voxel has type int64 of {value} .*, expected int32"):
        CLUSTERS.conform(rows, "here")
    rows["voxel"] = 2**31 - 1
    assert CLUSTERS.conform(rows, "here")["voxel"].tolist() == [2**31 - 1]


def test_ragged_items():
    ragged = Ragged.of([np.array([1, 2]), np.array([], int), np.array([3])])
    assert [item.tolist() for item in ragged] == [[1, 2], [], [3]]
    assert ragged[-1].tolist() == [3]
    assert ragged.counts.tolist() == [2, 0, 1]
    with pytest.raises(IndexError):
        ragged[3]


def test_an_event_of_nested_lists():
    nested = Nested(np.arange(6), np.array([0, 2, 2, 5, 6]), np.array([0, 0, 3, 4]))
    assert len(nested.event(0)) == 0
    assert [item.tolist() for item in nested.event(1)] == [[0, 1], [], [2, 3, 4]]
    assert [item.tolist() for item in nested.event(2)] == [[5]]
