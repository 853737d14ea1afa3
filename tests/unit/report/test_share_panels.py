import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from weft.report.share_panels import HEIGHT, WIDTH, Curve, Panel, share_panels

SVG = "{http://www.w3.org/2000/svg}"


def curve(n=3, **options):
    x = np.array([1.0, 10.0, 100.0])[:n]
    value = np.array([0.0, 0.515, 1.03])[:n]
    return Curve(x, value, value - 0.1, value + 0.1, options.pop("color", "#0072b2"), **options)


def drawn(panels, **options):
    return ET.fromstring(share_panels(panels, (1.0, 100.0), "size <cm>", "share & more", "A title", **options))


def texts(root):
    return [node.text for node in root.iter(f"{SVG}text")]


def test_shares_stand_where_the_axes_say():
    root = drawn([Panel("track", [curve()])])
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    assert places == [(0.0, HEIGHT), (WIDTH / 2, HEIGHT / 2), (WIDTH, 0.0)]
    (line,) = (p for p in root.iter(f"{SVG}path") if p.get("class") == "curve")
    assert line.get("d") == f"M0.0 {HEIGHT:.1f}L{WIDTH / 2:.1f} {HEIGHT / 2:.1f}L{WIDTH:.1f} 0.0"
    (band,) = (p for p in root.iter(f"{SVG}path") if p.get("class") == "band")
    y = [float(v) for v in re.findall(r" (-?[0-9.]+)", band.get("d"))]
    assert y == pytest.approx([HEIGHT * (1 - s / 1.03) for s in (0.1, 0.615, 1.13, 0.93, 0.415, -0.1)], abs=0.06)


def test_points_without_an_interval_have_no_band():
    """As those of a single event."""
    whole, nan = curve(), np.full(3, np.nan)
    svg = share_panels([Panel("track", [Curve(whole.x, whole.value, nan, nan, "#000")])], (1.0, 100.0), "x", "y", "z")
    assert "nan" not in svg
    assert 'class="band"' not in svg
    assert svg.count("<circle") == 3
    low = np.array([0.1, np.nan, 0.9])
    partly = drawn([Panel("track", [Curve(whole.x, whole.value, low, low + 0.1, "#000")])])
    (band,) = (p for p in partly.iter(f"{SVG}path") if p.get("class") == "band")
    assert len(re.findall("[ML]", band.get("d"))) == 4


def test_everything_is_labelled():
    said = texts(drawn([Panel("track", [curve()]), Panel("shower", [curve()])], legend=[("model", "#000", False)]))
    assert said.count("10⁰") == said.count("10¹") == said.count("10²") == 2
    assert {"track", "shower", "size <cm>", "share & more", "model", "0.0", "1.0"} <= set(said)
    assert said.count("0.2") == 1


def test_dashes_are_of_the_baseline():
    root = drawn([Panel("track", [curve(dashed=True), curve(color="#e69f00")])])
    dashed = [p.get("stroke") for p in root.iter(f"{SVG}path") if p.get("stroke-dasharray")]
    assert dashed == ["#0072b2"]


def test_a_panel_without_points_says_so():
    assert texts(drawn([Panel("track", [curve(0)]), Panel("shower", [curve(1)])])).count("too few") == 1
    assert "size <cm>" in texts(drawn([]))
