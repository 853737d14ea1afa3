import base64
import io
from dataclasses import replace

import invented
import numpy as np
import pytest
from invented_scores import made_up
from PIL import Image

from weft.report.display import event_payload
from weft.report.overlays import Layer
from weft.report.page import environment, render_report, write_page
from weft.tasks.segmentation.figures import figures

pytestmark = pytest.mark.browser

DISPLAY = ".event-display"
STAGE = f"{DISPLAY} .cloud"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("browser") / "report.html"
    render_report(path, *invented.page())
    return path


@pytest.fixture
def page(visit, report):
    """The report, scrolled to its event display, without animations."""
    opened = visit(report, reduced_motion="reduce")
    opened.locator(DISPLAY).scroll_into_view_if_needed()
    opened.wait_for_selector(f"{DISPLAY}.ready .strip button")
    settle(opened)
    return opened


def settle(page):
    """Wait for two frames, so that what was asked for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


def pixels(page, selector=STAGE):
    """What the canvas holds, uint8 [height, width, 4]."""
    url = page.locator(selector).first.evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def near(image, color, tolerance=24):
    """Pixels of about the hue of a class colour (discs are shaded)."""
    want = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)], float)
    rgb = image[..., :3].astype(float)
    share = rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1) - want / want.max()
    return (image[..., 3] > 0) & (np.abs(share).max(axis=-1) < tolerance / 255)


def click(page, text):
    page.locator(f"{DISPLAY} button", has_text=text).first.click()
    settle(page)


def test_voxels_are_drawn_in_the_colors_of_their_classes(page):
    image = pixels(page)
    for color in ("#e69f00", "#0072b2"):
        assert near(image, color).sum() > 200


def test_dragging_turns_the_event(page):
    before = pixels(page)
    box = page.locator(STAGE).bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 420, box["y"] + 240, steps=4)
    page.mouse.up()
    settle(page)
    after = pixels(page)
    assert before.shape == after.shape
    assert (before != after).any(axis=-1).sum() > 1000


def test_keys_turn_zoom_and_reset(page):
    start = pixels(page)
    page.locator(STAGE).focus()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        before = pixels(page)
        page.keyboard.press(key)
        settle(page)
        assert (pixels(page) != before).any(), key
    page.keyboard.press("0")
    settle(page)
    assert np.array_equal(pixels(page), start)


def test_the_wheel_scrolls_the_page_until_the_display_is_clicked(page):
    box = page.locator(STAGE).bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    before = pixels(page)
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(200)
    settle(page)
    assert np.array_equal(pixels(page), before)
    page.locator(STAGE).scroll_into_view_if_needed()
    page.locator(STAGE).click(position={"x": 100, "y": 100})
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(200)
    settle(page)
    assert not np.array_equal(pixels(page), before)


def test_modes_show_other_things_and_say_which(page):
    seen = {}
    for mode in ("Side by side", "Truth", "Prediction", "Errors"):
        click(page, mode)
        button = page.locator(f"{DISPLAY} [data-mode]", has_text=mode)
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator(f'{DISPLAY} [data-mode][aria-pressed="true"]').count() == 1
        assert mode.lower() in page.locator(STAGE).get_attribute("aria-label")
        seen[mode] = pixels(page).tobytes()
    assert len(set(seen.values())) == 4
    assert "correct" in page.locator(f"{DISPLAY} .legend").inner_text()


def test_the_legend_hides_a_class(page):
    click(page, "Truth")
    assert near(pixels(page), "#e69f00").sum() > 100
    shower = page.locator(f"{DISPLAY} .legend button", has_text="shower")
    shower.click()
    settle(page)
    assert shower.get_attribute("aria-pressed") == "false"
    hidden = pixels(page)
    assert near(hidden, "#e69f00").sum() == 0
    assert near(hidden, "#0072b2").sum() > 100
    shower.click()
    settle(page)
    assert near(pixels(page), "#e69f00").sum() > 100


def test_the_legend_counts_voxels(page):
    click(page, "Truth")
    _, _, truth = invented.event(100)
    shower = page.locator(f"{DISPLAY} .legend button", has_text="shower").inner_text()
    assert shower.replace("\u2009", "").split()[1] == str((truth == 0).sum())


def test_color_by_charge_has_a_scale(page):
    click(page, "Charge")
    assert "MeV" in page.locator(f"{DISPLAY} .legend .scale").inner_text()
    assert near(pixels(page), "#0072b2").sum() < 50


def test_points_of_one_size(page):
    before = pixels(page)
    click(page, "Size")
    assert not np.array_equal(pixels(page), before)


def test_points_of_view(page):
    images = {"3-D": pixels(page).tobytes()}
    for view in ("z–y", "x–y", "z–x"):
        page.locator(f'{DISPLAY} [data-view="{view}"]').click()
        settle(page)
        images[view] = pixels(page).tobytes()
        assert page.locator(f'{DISPLAY} [data-view="{view}"]').get_attribute("aria-pressed") == "true"
    assert len(set(images.values())) == 4
    before = pixels(page)
    click(page, "Fit")
    assert not np.array_equal(pixels(page), before)


def test_hovering_tells_the_voxel(page):
    click(page, "Truth")
    image = pixels(page)
    rows, columns = np.nonzero(near(image, "#0072b2"))
    k = len(rows) // 2
    box = page.locator(STAGE).bounding_box()
    scale = image.shape[1] / box["width"]
    page.mouse.move(box["x"] + columns[k] / scale, box["y"] + rows[k] / scale)
    tip = page.locator(f"{DISPLAY} .tip")
    assert tip.is_visible()
    said = dict(zip(tip.locator("dt").all_inner_texts(), tip.locator("dd").all_inner_texts(), strict=True))
    assert said["truth"] == "track"
    assert said["predicted"]
    assert 0 <= float(said["score"]) <= 1
    voxels, charge, truth = invented.event(100)
    voxel = [int(x) for x in said["voxel"].split(",")]
    row = int(np.flatnonzero((voxels == voxel).all(axis=1))[0])
    assert truth[row] == 1
    assert float(said["charge"].split()[0]) == pytest.approx(charge[row], rel=5e-3)
    position = [float(x.replace("−", "-")) for x in said["position"].removesuffix("cm").split(",")]
    expected = [o + (v + 0.5) * s for o, v, s in zip(invented.GRID.origin, voxel, invented.GRID.size, strict=True)]
    assert position == pytest.approx(expected, abs=0.051)
    page.mouse.move(5, 5)
    assert not tip.is_visible()


def test_the_strip_chooses_an_event(page):
    first = pixels(page)
    chosen = page.locator(f"{DISPLAY} .strip button").nth(3)
    chosen.click()
    settle(page)
    assert chosen.get_attribute("aria-pressed") == "true"
    assert page.locator(f"{DISPLAY} .heading strong").inner_text() == "event 0/0/20"
    assert not np.array_equal(pixels(page), first)


def test_a_large_event_turns_smoothly(visit, tmp_path):
    """12,000 voxels, side by side, on one core and without a GPU: at least 10 frames a second."""
    parts = [invented.event(k)[:2] for k in range(7)]
    voxels, index = np.unique(np.concatenate([v for v, _ in parts]), axis=0, return_index=True)
    charge = np.concatenate([q for _, q in parts])[index]
    assert len(voxels) > 10_000
    labels = np.arange(len(voxels)) % 5
    payload = event_payload(voxels, charge, labels, labels, grid=invented.GRID, title="large")
    path = tmp_path / "event.html"
    write_page(path, environment().get_template("event.html").render(payload=payload, files=["x"]))
    page = visit(path)
    page.wait_for_selector(f"{DISPLAY}.ready")
    settle(page)
    seconds = page.evaluate(
        """async () => {
          const canvas = document.querySelector(".cloud");
          const turn = () => canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          await frame();
          const begin = performance.now();
          for (let k = 0; k < 20; k++) { turn(); await frame(); }
          return (performance.now() - begin) / 20000;
        }"""
    )
    assert seconds < 0.1


@pytest.mark.parametrize(("scheme", "light"), [("light", True), ("dark", False)])
def test_the_page_follows_the_system(visit, report, scheme, light):
    page = visit(report, color_scheme=scheme)
    shade = (
        "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) / 3"
    )
    assert (page.evaluate(shade) > 128) == light
    page.locator("#theme").click()
    assert (page.evaluate(shade) > 128) != light


def test_dark_pages_have_light_drawings(visit, report):
    page = visit(report, color_scheme="dark")
    color = page.locator("figure svg text").first.evaluate("(node) => getComputedStyle(node).fill")
    assert min(int(x) for x in color.removeprefix("rgb(").removesuffix(")").split(",")) > 150


def test_print_is_white_and_without_controls(visit, report):
    page = visit(report, color_scheme="dark")
    page.locator(DISPLAY).scroll_into_view_if_needed()
    page.wait_for_selector(f"{DISPLAY}.ready")
    page.emulate_media(media="print")
    settle(page)
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert not page.locator(f"{DISPLAY} .bar").is_visible()
    assert page.locator(STAGE).is_visible()
    assert len(page.pdf()) > 20_000


def test_no_table_is_wider_than_a_printed_page(visit, tmp_path):
    """A4 with the margins of the style sheet leaves 182 mm; three seeds, a baseline and shifted splits are the most."""
    splits = ["test", "test_lifetime_high", "test_noise"]
    scores = {f"seed{k}": made_up(0.95, splits, seed=k) for k in range(3)} | {"baseline": made_up(0.8, splits, seed=3)}
    cover, (stage,) = invented.page()
    path = tmp_path / "report.html"
    render_report(path, cover, [replace(stage, figures=figures(scores, "test"))])
    page = visit(path)
    page.set_viewport_size({"width": int(182 / 25.4 * 96), "height": 1000})
    page.emulate_media(media="print")
    settle(page)
    widths = "(tables) => tables.map((t) => [t.caption.textContent, t.offsetWidth])"
    measured = page.locator("table").evaluate_all(widths)
    assert len(measured) >= 5
    assert [(name, width) for name, width in measured if width > int(182 / 25.4 * 96)] == []


def test_commands_are_printed_whole(visit, report):
    page = visit(report)
    page.set_viewport_size({"width": 400, "height": 1000})
    page.emulate_media(media="print")
    sizes = page.locator(".commands code").evaluate_all("(nodes) => nodes.map((n) => [n.scrollWidth, n.clientWidth])")
    assert sizes
    assert all(wanted <= given for wanted, given in sizes)


def test_events_that_were_never_seen_are_printed(visit, report):
    page = visit(report)
    assert page.locator(f"{DISPLAY}.ready").count() == 0
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    settle(page)
    assert page.locator(f"{DISPLAY}.ready").count() == 1
    assert (pixels(page)[..., 3] > 0).sum() > 1000


def test_tables_sort_by_value(visit, report):
    page = visit(report)
    table = page.locator("#uresnet-classes table")
    column = table.locator("tbody td:nth-child(2)")
    numbers = lambda: [int(text.replace("\u2009", "")) for text in column.all_inner_texts()]  # noqa: E731
    button = table.locator("thead th:nth-child(2) button")
    button.click()
    assert numbers() == sorted(numbers())
    assert table.locator("thead th:nth-child(2)").get_attribute("aria-sort") == "ascending"
    button.click()
    assert numbers() == sorted(numbers(), reverse=True)
    names = table.locator("tbody th")
    table.locator("thead th:nth-child(1) button").click()
    assert names.all_inner_texts() == ["delta", "low-energy", "Michel", "shower", "track"]


def test_voxels_without_a_label_are_no_errors(visit, tmp_path):
    voxels, charge, truth = invented.event(3)
    truth[::2] = -1
    payload = event_payload(voxels, charge, truth, np.zeros_like(truth), grid=invented.GRID, title="unlabelled")
    path = tmp_path / "event.html"
    write_page(path, environment().get_template("event.html").render(payload=payload, files=["x"]))
    page = visit(path)
    page.wait_for_selector(f"{DISPLAY}.ready")
    click(page, "Errors")
    legend = page.locator(f"{DISPLAY} .legend button").all_inner_texts()
    counts = [int(text.replace("\u2009", "").split()[-1]) for text in legend]
    wrong = int((truth > 0).sum())
    assert legend[0].startswith("correct or without label")
    assert counts == [len(truth) - wrong, wrong]


def test_a_prediction_without_classes_starts_with_what_it_has(visit, tmp_path):
    voxels, charge, truth = invented.event(3)
    items = np.arange(len(truth)) // 100
    layers = [Layer("shower groups", items, items, judged=True), Layer("fragments", items, items)]
    payload = event_payload(
        voxels, charge, truth, grid=invented.GRID, title="groups", layers=layers, color="shower groups"
    )
    path = tmp_path / "event.html"
    write_page(path, environment().get_template("event.html").render(payload=payload, files=["x"]))
    page = visit(path)
    page.wait_for_selector(f"{DISPLAY}.ready")
    settle(page)
    pressed = page.locator(f"{DISPLAY} [aria-label=Colour] [aria-pressed=true]")
    assert pressed.all_inner_texts() == ["Shower groups"]
    legend = page.locator(f"{DISPLAY} .legend")
    number = items.max() + 1
    assert legend.inner_text() == f"shower groups: {number} \u2192 {number}; grey: in none of them"
    click(page, "Class")
    counts = [int(text.replace("\u2009", "").split()[-1]) for text in legend.locator("button").all_inner_texts()]
    assert sorted(counts) == sorted(np.unique(truth, return_counts=True)[1].tolist())  # of the truth alone
    assert legend.locator(".note").all_inner_texts() == ["voxels of the truth; the prediction has no classes"]
    page.locator(f"{DISPLAY} [data-mode=prediction]").click()
    assert legend.locator("button").count() == 0
    assert legend.inner_text() == "the prediction has no classes"


def test_without_a_canvas_the_page_says_so(visit, report, browser):
    context = browser.new_context()
    context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null;")
    page = context.new_page()
    page.goto(report.as_uri())
    page.locator(DISPLAY).scroll_into_view_if_needed()
    alert = page.locator(f"{DISPLAY} [role=alert]")
    alert.wait_for()
    assert "this browser has no 2-D canvas" in alert.inner_text()
    context.close()


def test_a_narrow_screen_stacks_the_panels_and_does_not_scroll_sideways(browser, report):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    page.locator(DISPLAY).scroll_into_view_if_needed()
    page.wait_for_selector(f"{DISPLAY} .strip button")
    settle(page)
    drawn = pixels(page)[..., 3] > 0
    upper, lower = drawn[: len(drawn) // 2].sum(), drawn[len(drawn) // 2 :].sum()
    assert min(upper, lower) > 0.8 * max(upper, lower) > 1000
    context.close()
