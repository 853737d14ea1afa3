"""Triplets and space points of stores, drawn in the colour of their score."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINTS, space_points, triplet_scores
from weft.io.products import EventId, Filtered
from weft.io.store import EventStore
from weft.io.wire_products import PIXELS, TRIPLETS
from weft.io.writer import StoreWriter
from weft.report import clouds
from weft.report.show import show_event

SCORES = triplet_scores()
POINTS = space_points(SCORES)
EVENT = EventId(1, 2, 3, 4)


def decoded(text: str, dtype: str) -> list[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text), wbits=-15), dtype).tolist() if text else []


def found(n: int = 4) -> dict[str, np.ndarray]:
    """Triplets along x, 1 cm apart; the first two on a dead wire of plane 2."""
    pixels, triplets = np.zeros(4, PIXELS.dtype), np.zeros(n, TRIPLETS.dtype)
    pixels["plane"], pixels["charge"], pixels["dead"] = [0, 1, 2, 2], [30, 10, 0, 20], [0, 0, 1, 0]
    triplets["pixel_1"], triplets["pixel_2"] = 1, np.where(np.arange(n) < 2, 2, 3)
    triplets["x"] = np.arange(n)
    return {"pixels": pixels, "triplets": triplets}


def scores(*values: float) -> Filtered:
    """Of the triplets from the second on."""
    said = np.zeros(len(values), SCORES.dtype)
    said["larmatch"] = values
    return Filtered(said, np.arange(1, 1 + len(values), dtype=np.int32))


def kept(*rows: int) -> dict[str, np.ndarray]:
    points, keys = np.zeros(len(rows), POINTS.dtype), np.zeros(1, KEY_POINTS.dtype)
    points["triplet"], points["x"], points["larmatch"], points["charge_0"] = rows, rows, 0.95, 40
    keys["x"], keys["kind"] = 3, 2
    return {"space_points": points, "key_points": keys}


def write(path: Path, schemas: list, products: dict[str, Any], parents: dict[str, str] | None = None) -> Path:
    with StoreWriter(path, schemas, parents=parents) as writer:
        writer.append(EVENT, products)
    return path


def test_triplets_have_the_colour_of_their_score(tmp_path: Path) -> None:
    products = {**found(), "triplet_scores": scores(0.05, 0.3, 1.0), **kept(3)}
    with EventStore.open(write(tmp_path / "a.h5", [PIXELS, TRIPLETS, SCORES, POINTS, KEY_POINTS], products)) as store:
        payload = clouds.cloud_payload(store, 0)
    assert decoded(payload["predicted"], "i1") == [-1, 0, 3, 6]
    assert decoded(payload["charge"], "<f4") == [20, 20, 20, 20]
    (layer,) = payload["layers"]
    assert layer["name"] == "space points"
    assert decoded(layer["predicted"], "<i2") == [-1, -1, -1, 0]
    (marker,) = payload["markers"]
    assert decoded(marker["positions"], "<f4") == [3, 0, 0]
    names = {entry["id"]: entry["name"] for entry in payload["classes"]}
    assert [names[k] for k in (-1, 0, 3, 6)] == ["no score", "score 0 to 0.1", "score 0.3 to 0.5", "score 0.9 to 1"]
    assert names[decoded(marker["classes"], "i1")[0]] == "track end"
    assert payload["subtitle"] == "4 triplets, 3 with a score, 1 space points"


def test_space_points_stand_for_themselves(tmp_path: Path) -> None:
    with EventStore.open(write(tmp_path / "a.h5", [POINTS, KEY_POINTS], kept(0, 2))) as store:
        payload = clouds.cloud_payload(store, 0)
    assert decoded(payload["predicted"], "i1") == [6, 6]
    assert decoded(payload["charge"], "<f4") == [40, 40]
    assert "layers" not in payload


def test_of_too_many_the_space_points_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clouds, "_MOST", 5)
    products = {**found(20), "triplet_scores": scores(*np.linspace(0, 1, 19)), **kept(2, 7, 11)}
    with EventStore.open(write(tmp_path / "a.h5", [PIXELS, TRIPLETS, SCORES, POINTS, KEY_POINTS], products)) as store:
        payload = clouds.cloud_payload(store, 0)
    assert decoded(payload["layers"][0]["predicted"], "<i2").count(0) == 3
    assert len(decoded(payload["predicted"], "i1")) == 5
    assert payload["subtitle"].endswith("5 of them drawn")


def test_an_empty_event_is_a_page(tmp_path: Path) -> None:
    products = {**found(0), "triplet_scores": scores(), **kept()}
    products["key_points"] = products["key_points"][:0]
    path = write(tmp_path / "a.h5", [PIXELS, TRIPLETS, SCORES, POINTS, KEY_POINTS], products)
    show_event({"truth": path}, 0, tmp_path / "event.html")
    assert "0 triplets, 0 with a score" in (tmp_path / "event.html").read_text()


def test_scores_need_their_triplets(tmp_path: Path) -> None:
    triplets = write(tmp_path / "t.h5", [PIXELS, TRIPLETS], found())
    with EventStore.open(triplets) as store:
        parents = {"triplets": store.content_hash}
    said = write(tmp_path / "s.h5", [SCORES], {"triplet_scores": scores(0.4)}, parents)
    with pytest.raises(WeftError, match=r"triplets that these are of: add the store .* --prediction triplets=PATH"):
        show_event({"truth": said}, 0, tmp_path / "event.html")
    show_event({"truth": triplets, "prediction": said}, 0, tmp_path / "event.html")
    assert "4 triplets, 1 with a score, 0 space points" in (tmp_path / "event.html").read_text()
    with pytest.raises(WeftError, match="or triplets with triplet_scores, or space_points"):
        show_event({"truth": triplets}, 0, tmp_path / "event.html")
