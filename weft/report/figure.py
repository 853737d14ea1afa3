"""One item of a report: a drawing, a table or a fragment of a page, with its title and caption."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Figure:
    """What a task gives to the report; exactly one of ``svg``, ``table`` and ``html`` is set.

    ``key`` names the figure within its stage and places it in the page (see ``weft/report/page.py``); ``title`` and
    ``caption`` are plain text, escaped by the page. ``svg`` is one ``<svg>`` element, ``table`` a frame whose columns
    carry their unit in their name, ``html`` a self-contained fragment that asks nothing of the network.
    """

    key: str
    title: str
    caption: str
    svg: str | None = None
    table: pd.DataFrame | None = None
    html: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("svg", "table", "html") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"figure {self.key!r} must have exactly one of svg, table and html, "
                f"and has {', '.join(given) or 'none'}"
            )
