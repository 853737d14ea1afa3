"""The mesh viewer in a browser: what is nearest is seen, it turns, layers can be chosen, the pointer says the class."""

import numpy as np
import pytest

from weft.report.mesh_viewer import FaceLayer, mesh_viewer

pytestmark = pytest.mark.browser

# A red square on the ground, a blue one above half of it.
VERTICES = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [2, 0, 3], [4, 0, 3], [4, 4, 3], [2, 4, 3.0]])
FACES = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
CLASSES = {0: ("ground", "#ff0000"), 1: ("roof", "#0000ff")}
PIXEL = """([panel, x, y]) => {
  const canvas = document.querySelectorAll(".mesh-view canvas")[panel];
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  return [...context.getImageData(Math.round(x * copy.width), Math.round(y * copy.height), 1, 1).data];
}"""


@pytest.fixture
def page(visit, tmp_path):
    labels = np.array([0, 0, 1, 1])
    green = np.tile(np.array([0, 255, 0], np.uint8), (4, 1))
    layers = [FaceLayer("truth", labels, CLASSES), FaceLayer("texture", green)]
    figure = mesh_viewer("m", "M", "", VERTICES, FACES, layers)
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><div style='width:900px'>{figure.html}</div>")
    return visit(path)


def colour(page, panel, x, y):
    """Which of red, green and blue a pixel is; none outside the mesh."""
    *rgb, alpha = page.evaluate(PIXEL, [panel, x, y])
    return "rgb"[int(np.argmax(rgb))] if alpha else None


def test_the_nearest_face_is_seen_from_above(page):
    page.get_by_role("button", name="from above").click()
    assert (colour(page, 0, 0.4, 0.5), colour(page, 0, 0.6, 0.5)) == ("r", "b")
    assert colour(page, 1, 0.4, 0.5) == "g"
    assert colour(page, 0, 0.02, 0.5) is None
    text = page.locator(".mesh-view .key").first.text_content()
    assert "ground 2" in text
    assert "roof 2" in text
    box = page.locator(".mesh-view canvas").first.bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    assert page.locator(".mesh-view .hint").text_content() == "truth: roof"


def test_it_turns_and_layers_can_be_chosen(page):
    page.get_by_role("button", name="from above").click()
    box = page.locator(".mesh-view canvas").first.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 200 + round(np.pi / 0.008), box["y"] + 200)
    page.mouse.up()
    assert (colour(page, 0, 0.4, 0.5), colour(page, 0, 0.6, 0.5)) == ("b", "r"), "half a turn"
    page.locator(".mesh-view select").nth(0).select_option(label="texture")
    assert colour(page, 0, 0.4, 0.5) == "g"
    page.locator(".mesh-view select").nth(1).select_option(label="nothing")
    assert not page.locator(".mesh-view canvas").nth(1).is_visible()
