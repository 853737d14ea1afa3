"""The picture viewer in a browser: layers to choose, a slider for how much they cover."""

import numpy as np
import pytest

from weft.report.display import asset
from weft.report.pictures import Layer, picture_viewer

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit, tmp_path):
    picture = np.full((3, 20, 30), 120, np.uint8)
    mask = np.zeros((20, 30), np.int16)
    mask[:, 15:] = 1
    layers = [Layer("truth", mask), Layer("prediction", 1 - mask)]
    colors = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    made = [picture_viewer("p", "P", "", picture, chosen, ("road", "car"), colors) for chosen in (layers, [], layers)]
    path = tmp_path / "page.html"
    narrow = [Layer("truth", np.zeros((90, 10), int))]
    tall = picture_viewer("p", "P", "", np.ones((1, 90, 10), np.float32), narrow, ("road",), colors)
    style = f"<!doctype html><meta charset=utf-8><style>{asset('report.css')}</style>"
    path.write_text(style + "".join(figure.html for figure in (*made, tall)))
    return visit(path)


def test_one_layer_at_a_time_and_each_viewer_for_itself(page):
    first, alone, last = (page.locator(".picture").nth(k) for k in range(3))
    assert alone.locator("button, input").count() == 0
    hidden = "all => all.map((one) => one.hidden)"
    assert first.locator(".stage img").evaluate_all(hidden) == [False, False, True]
    first.get_by_role("button", name="prediction").click()
    assert first.locator(".stage img").evaluate_all(hidden) == [False, True, False]
    assert last.locator(".stage img").evaluate_all(hidden) == [False, False, True]
    first.get_by_role("button", name="picture").click()
    assert first.locator(".stage img").evaluate_all(hidden) == [False, True, True]
    pressed = first.locator("button").evaluate_all("all => all.map((one) => one.getAttribute('aria-pressed'))")
    assert pressed == ["false", "false", "true"]


def test_a_layer_covers_as_much_as_asked(page):
    viewer = page.locator(".picture").first
    layer = viewer.locator(".stage img").nth(1)
    assert layer.evaluate("one => one.style.opacity") == "0.65"
    viewer.locator("input").fill("30")
    assert layer.evaluate("one => one.style.opacity") == "0.3"


def test_what_is_said_of_a_picture_is_below_it(page):
    for k in (0, 3):
        viewer = page.locator(".picture").nth(k)
        boxes = [
            one.bounding_box() for one in (*viewer.locator(".stage img:not([hidden])").all(), viewer.locator(".legend"))
        ]
        seen, layer, legend = boxes
        assert layer == pytest.approx(seen, abs=0.5)
        assert 0 < legend["y"] - seen["y"] - seen["height"] < 30
        assert seen["height"] <= 0.8 * 900 + 1
        assert seen["width"] / seen["height"] == pytest.approx((1.5, 0, 0, 1 / 9)[k], rel=0.02)
