import itertools
import re

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from weft.report.palette import CLASS_COLORS, CLASS_NAMES, INK, RULE, power_of_ten, style, to_svg

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
PAGES = {"light": "#fcfcfa", "dark": "#14181d"}


def linear(color):
    c = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_classes_stay_apart_for_every_reader(vision):
    seen = {k: lab(VISION[vision] @ linear(color)) for k, color in CLASS_COLORS.items()}
    for a, b in itertools.combinations(seen, 2):
        distance = np.linalg.norm(seen[a] - seen[b])
        assert distance > 15, f"{CLASS_NAMES[a]} and {CLASS_NAMES[b]} are {distance:.1f} apart"


@pytest.mark.parametrize("page", PAGES)
def test_classes_are_visible_on_both_pages(page):
    background = lab(linear(PAGES[page]))
    assert all(np.linalg.norm(lab(linear(color)) - background) > 22 for color in CLASS_COLORS.values())


def test_every_class_has_a_name_and_a_color():
    assert set(CLASS_COLORS) == set(CLASS_NAMES) == {-1, 0, 1, 2, 3, 4, 5}


def drawing(key="a b"):
    with style():
        canvas = Canvas()
        axis = canvas.subplots()
        axis.plot([0, 1], [1, 3], label="x < 1")
        axis.legend()
        return to_svg(canvas, key, "a <title> & more")


def test_drawings_are_reproducible_and_can_share_a_page():
    first, second = drawing(), drawing("other")
    assert first == drawing()
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    for svg, known in zip((first, second), ids, strict=True):
        used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
        assert used
        assert used <= known


def test_drawings_take_their_ink_from_the_page():
    svg = drawing()
    assert INK not in svg
    assert RULE.replace("#", "") not in svg.replace("var(--rule, #d5d9df)", "")
    assert "currentColor" in svg
    assert svg.startswith("<svg")
    assert "<title>a &lt;title&gt; &amp; more</title>" in svg
    assert 'role="img"' in svg.split(">", 1)[0]


def test_style_does_not_leak():
    import matplotlib as mpl

    before = mpl.rcParams["axes.spines.top"], mpl.rcParams["font.size"]
    drawing()
    assert (mpl.rcParams["axes.spines.top"], mpl.rcParams["font.size"]) == before


def test_powers_of_ten_are_plain_text():
    assert [power_of_ten(x) for x in (0.01, 1, 1000, 1e12, 20)] == ["10⁻²", "10⁰", "10³", "10¹²", ""]
    with style():
        canvas = Canvas()
        axis = canvas.subplots()
        axis.plot([0.5, 200], [1, 3])
        axis.set_xscale("log")
        svg = to_svg(canvas, "k", "t")
    assert re.findall(r">(10[^<]+)</text>", svg) == ["10⁰", "10¹", "10²"]


def test_a_short_logarithmic_axis_keeps_its_labels():
    with style():
        canvas = Canvas()
        axis = canvas.subplots()
        axis.plot([2, 6], [1, 3])
        axis.set_xscale("log")
        axis.set_xlim(2, 6)
        svg = to_svg(canvas, "k", "t")
    assert len(re.findall("<tspan", svg)) >= 3
