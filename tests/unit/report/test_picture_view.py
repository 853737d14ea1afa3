"""`weft show` of a picture: which layers its page has, and what it says of them."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from weft.errors import WeftError
from weft.io.image_products import ORIGIN, mask, mask_probabilities, picture
from weft.io.mask_colors import mask_colors
from weft.io.products import EventId
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.report.picture_view import errors, share_wrong
from weft.report.show import show_event

CLASSES = ["road", "car"]
TRUE = np.array([[0, 0, 1, -1]] * 2, np.int16)
CALLED = np.array([[0, 1, 1, 1]] * 2, np.int16)


def write(path: Path, known: bool = True, classes: list[str] = CLASSES) -> Path:
    """Two grey pictures; the second one has a mask without any label."""
    with StoreWriter(path, [picture("u2"), ORIGIN, *([mask(classes)] if known else [])]) as writer:
        for n, name in enumerate(("street_01", "street_02")):
            (code,) = writer.encode("origin", "image", [name])
            made = {"picture": np.arange(8, dtype=np.uint16).reshape(1, 2, 4) * 900}
            made |= {"origin": np.array([(code,)], ORIGIN.dtype)} | (
                {"mask": TRUE if n == 0 else TRUE * 0 - 1} if known else {}
            )
            writer.append(EventId(1, 0, n, n), made)
    return path


def predicted(path: Path, of: Path, called: np.ndarray = CALLED) -> Path:
    with EventStore.open(of) as store:
        parents = {"truth": store.content_hash}
    with StoreWriter(path, [mask(CLASSES), mask_probabilities(CLASSES)], parents=parents) as writer:
        for n in range(2):
            sure = np.stack([called == 0, called == 1]).astype(np.float32)
            writer.append(EventId(1, 0, n, n), {"mask": called, "mask_probabilities": sure})
    return path


def shown(path: Path) -> tuple[list[str], list[np.ndarray], str]:
    """Names of the buttons, the pictures, and the page without them."""
    text = path.read_text()
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in re.findall(r"base64,([\w+/=]+)", text)
    ]
    return (
        re.findall(r"<button[^>]*aria-pressed[^>]*>([^<]+)</button>", text),
        images,
        re.sub(r"base64,[\w+/=]+", "", text),
    )


def test_a_picture_with_its_mask_and_a_prediction(tmp_path: Path) -> None:
    truth, page = write(tmp_path / "truth.h5"), tmp_path / "picture.html"
    show_event({"truth": truth, "prediction": predicted(tmp_path / "p.h5", truth)}, 0, page)
    names, images, text = shown(page)
    assert names == ["truth", "prediction", "errors, as predicted", "picture"]
    assert "Image 1/0/0, street_01. 33.3% of its judged pixels are wrong." in text
    assert all(f"</i>{name}</span>" in text for name in CLASSES)
    colors = mask_colors(2).tolist()
    seen, true, called, wrong = images
    assert seen.shape == (2, 4, 3)
    assert true[0, :3, :3].tolist() == [colors[0], colors[0], colors[1]]
    assert true[0, 3, 3] == 0, "nothing covers what has no label"
    assert called[0, :, :3].tolist() == [colors[k] for k in CALLED[0]]
    assert wrong[0, :, 3].tolist() == [0, 255, 0, 0]


def test_pictures_of_which_nothing_is_known(tmp_path: Path) -> None:
    truth, page = write(tmp_path / "truth.h5", known=False), tmp_path / "picture.html"
    show_event({"truth": truth}, 0, page)
    names, images, text = shown(page)
    assert (names, len(images)) == ([], 1)
    assert "cover" not in text.split("<main")[1], "there is nothing to cover it with"
    show_event({"truth": truth, "prediction": predicted(tmp_path / "p.h5", truth)}, 0, page)
    names, _, text = shown(page)
    assert names == ["prediction", "picture"]
    assert "judged" not in text
    show_event({"truth": write(tmp_path / "half.h5")}, 1, page)
    assert shown(page)[0] == [], "a mask without a label is no truth"


def test_several_predictions_and_classes_without_names(tmp_path: Path) -> None:
    truth, page = write(tmp_path / "truth.h5", classes=[]), tmp_path / "picture.html"
    show_event({"truth": truth}, 0, page)
    assert "</i>0</span>" in page.read_text()
    assert "</i>1</span>" in page.read_text()
    stores = {"truth": truth, "net": predicted(tmp_path / "p.h5", truth)}
    stores["trees"] = predicted(tmp_path / "q.h5", truth, np.maximum(TRUE, 0))
    show_event(stores, 0, page)
    names, _, text = shown(page)
    assert names == ["truth", "net", "trees", "errors of net, as predicted", "errors of trees, as predicted", "picture"]
    assert "net: 33.3% of its judged pixels are wrong. trees: 0.0%" in text
    assert "</i>road</span>" in text, "the predictions know the names"


def test_around_a_middle_that_alone_is_predicted_nothing_is_judged() -> None:
    called = np.array([[-1, 1, 1, -1]] * 2)
    assert share_wrong(TRUE, called) == "50.0% of its judged pixels are wrong."
    assert errors(TRUE, called)[0].tolist() == [-1, 1, -1, -1]
    assert share_wrong(TRUE, np.full_like(TRUE, -1)) == "None of it is judged."


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeftError, match="no event 2; events are numbered 0 to 1"):
        show_event({"truth": write(tmp_path / "truth.h5")}, 2, tmp_path / "picture.html")


def test_sides_that_name_classes_otherwise_are_not_compared(tmp_path: Path) -> None:
    true = write(tmp_path / "t.h5", classes=["car", "road"])
    with pytest.raises(WeftError, match=r"p\.h5: mask has the classes road, car; others have car, road"):
        show_event({"truth": true, "prediction": predicted(tmp_path / "p.h5", true)}, 0, tmp_path / "x.html")
