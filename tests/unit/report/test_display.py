import base64
import json
import zlib

import invented
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import WeftError
from weft.report.display import Grid, event_display, event_payload, json_for_script

GRID = Grid(origin=(-1.0, 0.0, 5.0), size=(0.3, 0.3, 0.3), shape=(4, 4, 4))
VOXELS = np.array([[0, 1, 2], [3, 3, 3]])


def decoded(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15), dtype)


def voxels_of(payload):
    return np.cumsum(decoded(payload["voxels"], "<u2").reshape(-1, 3), axis=0, dtype=np.uint16)


def test_a_payload_holds_the_event():
    payload = event_payload(
        VOXELS, np.array([[0.5], [2.0]]), np.array([1, -1]), np.array([[1], [4]]), np.array([1.0, 0.5]),
        grid=GRID, title="event 1", subtitle="s", label="worst 1",
    )  # fmt: skip
    assert voxels_of(payload).tolist() == VOXELS.tolist()
    assert decoded(payload["charge"], "<f4").tolist() == [0.5, 2.0]
    assert decoded(payload["truth"], "i1").tolist() == [1, -1]
    assert decoded(payload["predicted"], "i1").tolist() == [1, 4]
    assert decoded(payload["score"], "u1").tolist() == [255, 128]
    assert (payload["origin"], payload["shape"]) == ([-1.0, 0.0, 5.0], [4, 4, 4])
    json.dumps(payload)


def test_what_is_not_known_is_not_there():
    payload = event_payload(VOXELS, np.ones(2), grid=GRID, title="t")
    assert not {"truth", "predicted", "score"} & set(payload)


def test_an_empty_event_is_an_event():
    payload = event_payload(np.empty((0, 3), int), np.empty(0), np.empty(0), grid=GRID, title="t")
    assert payload["voxels"] == payload["charge"] == payload["truth"] == ""


def test_lengths_and_boxes_are_checked():
    with pytest.raises(WeftError, match="'t': truth has 3 rows, expected one per voxel"):
        event_payload(VOXELS, np.ones(2), np.zeros(3), grid=GRID, title="t")
    with pytest.raises(WeftError, match="outside of the grid"):
        event_payload(VOXELS + 1, np.ones(2), grid=GRID, title="t")


def test_a_voxel_costs_few_bytes():
    voxels, charge, truth = invented.event(1)
    payload = event_payload(voxels, charge, truth, truth, np.ones(len(truth)), grid=invented.GRID, title="t")
    assert len(json.dumps(payload)) < 10 * len(voxels) + 400
    assert voxels_of(payload).tolist() == voxels.tolist()
    kept = decoded(payload["charge"], "<f4")
    assert np.abs(kept / charge.reshape(-1) - 1).max() < 1 / 4000


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_cannot_leave_its_script_element(value):
    text = json_for_script(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_a_display_needs_an_event():
    with pytest.raises(ValueError, match="at least one"):
        event_display([])


def test_things_that_are_no_voxels_bring_their_words_and_classes():
    classes = {0: ("good", "#0072b2"), -1: ("<unknown>", "#c0bca8")}
    payload = event_payload(
        VOXELS, np.ones(2), np.array([0, -1]), grid=GRID, title="t", classes=classes, things="triplets", unit="ADC"
    )
    text = str(event_display([payload, payload]))
    config = json.loads(text.partition('json">')[2].partition("</script>")[0])
    assert config["classes"] == [
        {"id": 0, "name": "good", "color": "#0072b2"}, {"id": -1, "name": "<unknown>", "color": "#c0bca8"}
    ]  # fmt: skip
    assert [event["things"] for event in config["events"]] == ["triplets"] * 2
    assert config["events"][0]["unit"] == "ADC"
    plain = str(event_display([event_payload(VOXELS, np.ones(2), grid=GRID, title="t")]))
    assert '"name":"track"' in plain
