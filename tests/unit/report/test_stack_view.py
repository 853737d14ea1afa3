"""`weft show` of a stack: which maps and outlines its page has."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from weft.errors import WeftError
from weft.io.products import EventId
from weft.io.store import EventStore
from weft.io.volume_products import INSTANCES, LABELS, ORIGIN, SPACING, image, probabilities, spacing_row
from weft.io.writer import StoreWriter
from weft.report.show import show_event

SHAPE = (4, 10, 12)
PROBABILITIES = probabilities(["background", "envelope"])


def labels(start: int) -> np.ndarray:
    made = np.zeros(SHAPE, np.int16)
    made[1:3, start : start + 4, 3:7] = 1
    return made


def write(path: Path, known: bool = True, channels: int = 2, instances: bool = False) -> Path:
    """Two stacks of one image, with labels where they are known."""
    truth = [*([LABELS] if known else []), *([INSTANCES] if instances else [])]
    with StoreWriter(path, [image("u2"), SPACING, ORIGIN, *truth], provenance={}) as writer:
        (code,) = writer.encode("origin", "image", ["img_001"])
        for n in range(2):
            made = {
                "image": np.full((channels, *SHAPE), 7 * n, np.uint16),
                "spacing": spacing_row(0.3, 0.1, 0.1),
                "origin": np.array([(code, n)], ORIGIN.dtype),
            }
            made |= {"labels": labels(2)} if known else {}
            made |= {"instances": labels(2).astype(np.int32)} if instances else {}
            writer.append(EventId(1, 0, n, n), made)
    return path


def predicted(path: Path, of: Path, start: int = 4, instances: bool = False) -> Path:
    with EventStore.open(of) as store:
        parents = {"truth": store.content_hash}
    schemas = [LABELS, PROBABILITIES, *([INSTANCES] if instances else [])]
    with StoreWriter(path, schemas, provenance={}, parents=parents) as writer:
        for n in range(2):
            inside = labels(start)
            made = {"labels": inside, "probabilities": np.stack([1.0 - inside, inside]).astype(np.float32)}
            made |= {"instances": 3 * inside.astype(np.int32)} if instances else {}
            writer.append(EventId(1, 0, n, n), made)
    return path


def shown(path: Path) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', path.read_text(), re.DOTALL)[1])


def names(data: dict, what: str) -> list[str]:
    return [one["name"] for one in data[what]]


def test_a_stack_with_its_labels_and_a_prediction(tmp_path):
    truth = write(tmp_path / "truth.h5")
    page = tmp_path / "stack.html"
    show_event({"truth": truth, "prediction": predicted(tmp_path / "p.h5", truth)}, 1, page)
    data, text = shown(page), page.read_text()
    assert names(data, "maps") == ["channel 0", "channel 1", "probability of envelope"]
    assert names(data, "outlines") == ["truth", "prediction"]
    assert data["outlines"][0]["labels"] != data["outlines"][1]["labels"]
    assert data["start"] == [1, 2, 3], "where most is labelled"
    assert data["size"] == [0.3, 0.1, 0.1]
    assert "Stack 1/0/1, img_001, time point 1." in text
    assert "borders of classes" in text
    assert str(truth) in text


def test_a_stack_of_which_nothing_is_known(tmp_path):
    truth = write(tmp_path / "truth.h5", known=False, channels=1)
    show_event({"truth": truth}, 0, tmp_path / "stack.html")
    data = shown(tmp_path / "stack.html")
    assert (names(data, "maps"), data["outlines"], data["start"]) == (["image"], [], [2, 5, 6])
    show_event({"truth": truth, "prediction": predicted(tmp_path / "p.h5", truth)}, 0, tmp_path / "stack.html")
    data = shown(tmp_path / "stack.html")
    assert names(data, "outlines") == ["prediction"]
    assert data["start"] == [1, 4, 3]


def test_objects_where_all_have_them_and_several_predictions(tmp_path):
    truth = write(tmp_path / "truth.h5", instances=True)
    stores = {"truth": truth, "prediction": predicted(tmp_path / "p.h5", truth, instances=True)}
    show_event(stores, 0, tmp_path / "objects.html")
    assert "borders of objects" in (tmp_path / "objects.html").read_text()
    stores["baseline"] = predicted(tmp_path / "b.h5", truth, start=5)
    show_event(stores, 0, tmp_path / "three.html")
    data = shown(tmp_path / "three.html")
    assert "borders of classes" in (tmp_path / "three.html").read_text()
    assert names(data, "outlines") == ["truth", "prediction", "baseline"]
    assert len({outline["color"] for outline in data["outlines"]}) == 3
    assert names(data, "maps")[2:] == ["probability of envelope, prediction", "probability of envelope, baseline"]


def test_a_stack_that_is_not_there(tmp_path):
    with pytest.raises(WeftError, match="no event 2; events are numbered 0 to 1"):
        show_event({"truth": write(tmp_path / "truth.h5")}, 2, tmp_path / "stack.html")
