"""The drawing and the display of one event, of stores."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from space_point_stores import events, inputs, opened, true_points, write

from weft import tasks
from weft.reco.feed import FedStore

TASK = tasks.build("space_points", {"model": {"min_score": 0.25, "best_per_pixel": 2}})


def store_of(folder: Path, task: Any) -> FedStore:
    made = events()
    files = inputs(folder, made)
    products = [task.predict_event(one) for one in made]
    return opened(files, write(folder / "points.h5", task.makes, products, list(files.values())))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FedStore:
    return store_of(tmp_path_factory.mktemp("stores"), TASK)


def decoded(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15) if text else b"", kind)


def test_the_display_holds_good_triplets_space_points_and_key_points(store: FedStore) -> None:
    one = events()[0]
    payload = TASK.event_payload(store, 0, "F1 0.5", "worst 1")
    assert payload is not None
    points = store["prediction/space_points"][0]
    truth, kept = decoded(payload["truth"], "i1"), decoded(payload["predicted"], "i1")
    good = one["triplet_scores"].index[one["triplet_scores"].values["larmatch"] > 0.5]
    assert (truth == 0).sum() == len(good)
    assert (kept == 0).sum() == len(points)
    assert ((truth == 1) & (kept == 0)).sum() == (points["larmatch"] < 0.5).sum() > 0
    assert not ((truth == 1) & (kept == 1)).any()
    assert payload["subtitle"].startswith(f"F1 0.5; {len(good)} good triplets and ")
    assert payload["things"] == "triplets"
    marks = {(m["kind"], m["source"]): m for m in payload["markers"]}
    true = true_points(one)
    assert decoded(marks["point", "truth"]["classes"], "i1").tolist() == (true["kind"] + 10).tolist()
    places = decoded(marks["point", "truth"]["positions"], "<f4").reshape(-1, 3)
    np.testing.assert_allclose(places[:, 0], true["x"], rtol=1e-6)
    assert len(decoded(marks["point", "prediction"]["classes"], "i1")) == len(store["prediction/key_points"][0])
    assert {entry["id"] for entry in payload["classes"]} == {-1, 0, 1, *range(10, 16)}


def test_the_figure_has_a_ring_and_a_cross_for_each_key_point(store: FedStore) -> None:
    (figure,) = TASK.event_figures(store, 2, "which is the third")
    assert figure.key == "event-key-points"
    assert figure.caption.startswith("Event 1/0/2, which is the third: ")
    for name in ("track start", "track end", "shower start", "true", "found"):
        assert f">{name}<" in (figure.svg or "")


def test_an_event_without_anything_is_drawn(store: FedStore) -> None:
    payload = TASK.event_payload(store, 1, "", "best 1")
    assert payload is not None
    assert payload["subtitle"].startswith("0 good triplets and 0 ghosts")
    assert len(TASK.event_figures(store, 1, "empty")) == 1


def test_without_key_points_the_cloud_alone_is_shown(tmp_path: Path) -> None:
    task = tasks.build("space_points", {"model": {"heads": [], "key_points": None}})
    store = store_of(tmp_path, task)
    payload = task.event_payload(store, 0, "", "worst 1")
    assert payload is not None
    assert "markers" not in payload
    assert task.event_figures(store, 0, "alone") == []


def test_too_many_triplets_are_thinned_and_said(store: FedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.tasks.space_points.event_views._MOST", 100)
    payload = TASK.event_payload(store, 0, "", "")
    assert payload is not None
    assert len(decoded(payload["truth"], "i1")) == 100
    assert payload["subtitle"].endswith("100 triplets are drawn")
