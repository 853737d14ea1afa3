"""``results/index.html``: every experiment that has a report, with its headline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from weft.errors import WeftError
from weft.metrics.bootstrap import CLAIM_EVENTS
from weft.report.comparison import CLAIM_SEEDS
from weft.report.page import SUMMARY_ID, environment, write_page
from weft.report.tables import table_html

FEW = 3
"""stages that are told in sentences; more are rows of a table"""
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
    entries = [_entry(read_summary(report), os.path.relpath(report, path.parent)) for report in reports]
    rows = [
        {"experiment": entry["name"], "scale": entry["facts"].get("scale", ""), **headline}
        for entry in entries
        for stage in entry["stages"]
        for headline in stage["headline"]
    ]
    # Of some stages they are events, of others images or tiles.
    table = pd.DataFrame(rows).rename(columns={"events": "held out"})
    comparison = table_html(table, "Headline metrics of all experiments") if rows else ""
    write_page(path, environment().get_template("index.html").render(entries=entries, few=FEW, comparison=comparison))


def _entry(summary: dict[str, Any], link: str) -> dict[str, Any]:
    """What the page says of one report."""
    # Reports that were written before their summaries had these.
    stages = [
        {"anchor": stage["name"].replace(" ", "-"), "differences": [], "claim_events": CLAIM_EVENTS, "thing": "event"}
        | stage
        for stage in summary["stages"]
    ]
    return {**summary, "stages": stages, "link": link.replace(os.sep, "/"), "basis": _basis(stages)}


def _basis(stages: Sequence[Mapping[str, Any]]) -> str:
    """On what the numbers of a table of stages stand."""
    firsts = [stage["headline"][0] for stage in stages]
    events, seeds = ({first[what] for first in firsts} for what in ("events", "seeds"))
    thing = stages[0]["thing"] if stages else "event"
    text = f"First headline metric of each, on {_span(events, f'held-out {thing}')}, {_span(seeds, 'seed')}. "
    text += f"Intervals: bootstrap over {thing}s, one line for each seed."
    taken = [stage["claim_events"] for stage in stages]
    few = any(first["events"] < least for first, least in zip(firsts, taken, strict=True))
    if few or (firsts and min(seeds) < CLAIM_SEEDS):
        text += f" An indication: a claim takes {_span({CLAIM_SEEDS}, 'seed')} and {_span(set(taken), thing)}."
    return text


def _span(numbers: set[int], of: str) -> str:
    low, high = min(numbers, default=0), max(numbers, default=0)
    return f"{low if low == high else f'{low} to {high}'} {of}{'' if high == 1 else 's'}"
