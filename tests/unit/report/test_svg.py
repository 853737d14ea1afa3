import re
import xml.etree.ElementTree as ET

from weft.report.svg import prefixed, slim

WRITTEN = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="612.630469pt" height="9pt" xmlns="http://www.w3.org/2000/svg">
 <metadata><x/></metadata>
 <g id="axes_1">
  <!-- $10^{0}$ -->
  <clipPath id="p1"><rect x="-0.123456" y="1e-05" width="3.5" height="2.25"/></clipPath>
  <path d="M 1.239 -2
L 3.14159 4.5
z
" clip-path="url(#p1)" style="stroke-width: 0.123456"/>
  <use xlink:href="#m1" x="36.398359"/><g id="m1"/>
  <text transform="rotate(-90 1.0055 2)">median 0.98765 at x="0.1234"</text>
 </g>
</svg>
"""


def test_nobody_sees_the_difference():
    svg = slim(WRITTEN)
    root = ET.fromstring(svg)
    (path,) = root.iter("{http://www.w3.org/2000/svg}path")
    assert path.get("d") == "M1.23 -2L3.14 4.5z"
    assert path.get("style") == "stroke-width: 0.123456"
    assert root.get("width") == "612.63pt"
    (text,) = root.iter("{http://www.w3.org/2000/svg}text")
    assert text.text.startswith("median 0.98765")
    assert text.get("transform") == "rotate(-90 1.00 2)"
    assert "<!--" not in svg
    assert "metadata" not in svg


def test_identifiers_stay_where_something_refers_to_them():
    svg = slim(WRITTEN)
    assert re.findall(r'id="([^"]+)"', svg) == ["p1", "m1"]
    other = prefixed(svg, "a b.c")
    assert re.findall(r'id="([^"]+)"', other) == ["a-b-c-p1", "a-b-c-m1"]
    assert "url(#a-b-c-p1)" in other
    assert 'href="#a-b-c-m1"' in other
