"""SVG as matplotlib writes it, made small enough that a page can hold hundreds."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_BETWEEN = re.compile(r">\s+<")
_BREAK = re.compile(r"\s*\n\s*")
_USED = re.compile(r'(?:href="#|url\(#)([^")]+)')
_ID = re.compile(r' id="([^"]+)"')
_REFERENCE = re.compile(r'( id="|href="#|url\(#)')
_PLACES = re.compile(r' (?:d|x|y|width|height|viewBox|transform)="[^"]*"')
_FINE = re.compile(r"(\.\d\d)\d+")
_COMMAND = re.compile(r"(?<=[\d .]) ?([MLCQz]) ?|(?<=\")([M]) ")


def slim(svg: str) -> str:
    """The ``<svg>`` element of a document without what nobody sees: comments, line breaks, identifiers that nothing
    refers to, and digits beyond a hundredth of a point."""
    svg = _COMMENT.sub("", svg[svg.index("<svg") :])
    svg = _BREAK.sub(" ", _BETWEEN.sub("><", svg))
    svg = _PLACES.sub(lambda found: _COMMAND.sub(r"\1\2", _FINE.sub(r"\1", found[0])), svg)
    used = set(_USED.findall(svg))
    return _ID.sub(lambda found: found[0] if found[1] in used else "", svg).strip()


def prefixed(svg: str, prefix: str) -> str:
    """The same with ``prefix-`` before every identifier, so that drawings made alike can share a page."""
    prefix = re.sub(r"[^A-Za-z0-9_-]", "-", prefix)
    return _REFERENCE.sub(rf"\g<1>{prefix}-", svg)
