"""The slice viewer in a browser: planes to scale, moved by slider and pointer, maps and outlines to choose."""

import numpy as np
import pytest

from weft.report.slices import Outline, slice_viewer

pytestmark = pytest.mark.browser

SHAPE = (6, 40, 30)
PIXEL = """([name, x, y]) => {
  const canvas = document.querySelector(`.slices canvas.${name}`);
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return [...context.getImageData(Math.round(x * copy.width), Math.round(y * copy.height), 1, 1).data];
}"""


@pytest.fixture
def page(visit, tmp_path):
    image = np.zeros(SHAPE)
    image[4, 5:15, 3:13] = 1000
    labels = np.zeros(SHAPE, np.int16)
    labels[4, 5:15, 3:13] = 1
    figure = slice_viewer(
        "s", "S", "", {"image": image, "probability": 1 - image / 1000}, [Outline("truth", labels, "#00ff00")],
        (0.4, 0.1, 0.1), start=(0, 35, 25),
    )  # fmt: skip
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><div style='width:900px'>{figure.html}{figure.html}</div>")
    return visit(path)


def test_planes_are_to_scale_and_every_viewer_of_a_page_is_drawn_once(page):
    assert page.locator(".slices canvas").count() == 6
    boxes = [page.locator(f".slices canvas.{name}").first.bounding_box() for name in ("xy", "zy", "xz")]
    (xy, zy, xz) = ((box["width"], box["height"]) for box in boxes)
    assert xy[0] / xy[1] == pytest.approx(30 / 40, abs=0.02)
    assert zy[0] / zy[1] == pytest.approx(6 * 0.4 / 4, abs=0.02)
    assert xz == pytest.approx((xy[0], zy[0]), abs=1)


def test_slider_pointer_map_and_outline(page):
    inside = ["xy", 8.3 / 30, 10.3 / 40]
    assert page.evaluate(PIXEL, inside)[:3] == [0, 0, 0]
    page.locator(".slices input[type=range]").first.fill("4")
    assert page.evaluate(PIXEL, inside)[:3] == [255, 255, 255]
    assert "truth 0" in page.locator(".slices .hint").first.text_content()
    box = page.locator(".slices canvas.xy").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 8.5 / 30, box["y"] + box["height"] * 10.5 / 40)
    text = page.locator(".slices .hint").first.text_content()
    assert "voxel 4, 10, 8 (z, y, x)" in text
    assert "image 1000" in text
    assert "truth 1" in text

    edge = ["xy", 3 / 30, 12.4 / 40]
    red, green, blue, _ = page.evaluate(PIXEL, edge)
    assert green > 150
    assert max(red, blue) < green
    page.locator(".slices input[type=checkbox]").first.uncheck()
    red, green, blue, _ = page.evaluate(PIXEL, edge)
    assert red == green == blue
    page.locator(".slices select").first.select_option("1")
    assert page.evaluate(PIXEL, ["xy", 6.3 / 30, 7.3 / 40])[:3] == [0, 0, 0]
    assert page.evaluate(PIXEL, ["xy", 20.3 / 30, 30.3 / 40])[:3] == [255, 255, 255]
