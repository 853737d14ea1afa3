"""``results/index.html``: every experiment that has a report, with its headline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from weft.errors import WeftError
from weft.report.page import SUMMARY_ID, environment, write_page
from weft.report.tables import table_html

_SUMMARY = re.compile(rf'<script type="application/json" id="{SUMMARY_ID}">(.*?)</script>', re.DOTALL)


def read_summary(report: Path) -> dict[str, Any]:
    """What a report says about itself. Raises `WeftError` for a file that is missing or no report of weft."""
    try:
        text = report.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WeftError(f"{report} does not exist: run `weft report` for this experiment first") from None
    found = _SUMMARY.search(text)
    if found is None:
        raise WeftError(f"{report} is not a report of weft: write it again with `weft report`")
    return json.loads(found[1])


def render_index(path: Path, reports: Iterable[Path]) -> None:
    """Write the page that compares the experiments that have a report, with links relative to ``path``.

    These are ``reports``, and all others that lie in the folders beside ``path``.
    """
    reports = sorted({*reports, *path.parent.glob("*/report.html")})
    entries = [
        {**read_summary(report), "link": os.path.relpath(report, path.parent).replace(os.sep, "/")}
        for report in reports
    ]
    rows = [
        {"experiment": entry["name"], "scale": entry["facts"].get("scale", ""), **headline}
        for entry in entries
        for stage in entry["stages"]
        for headline in stage["headline"]
    ]
    comparison = table_html(pd.DataFrame(rows), "Headline metrics of all experiments") if rows else ""
    write_page(path, environment().get_template("index.html").render(entries=entries, comparison=comparison))
