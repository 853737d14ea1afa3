"""The report of an experiment as one self-contained HTML file: no request leaves it, whatever it shows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from weft.io.atomic import atomic_path
from weft.report.comparison import Comparison, Difference
from weft.report.curves import learning_curves
from weft.report.display import asset, event_display, json_for_script, viewer_script
from weft.report.figure import Figure
from weft.report.svg import prefixed
from weft.report.tables import format_number, table_html

HALF_PAGE = 420
"""points; wider drawings take the full width"""
SUMMARY_ID = "weft-summary"
"""element of a report that holds what the index of all reports shows"""


@dataclass(frozen=True)
class Cover:
    """What the page says about the experiment as a whole; all plain text."""

    name: str
    title: str
    description: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    dataset: Figure | None = None
    """the events behind the numbers"""
    rerun: Sequence[tuple[str, str]] = ()
    """(what it does, command)"""
    notes: Sequence[str] = ()
    """what a reader must know before believing a number: mixed code versions, in-sample events"""


@dataclass(frozen=True)
class StageReport:
    """One stage of an experiment, gathered from its files."""

    name: str
    task: str
    variants: Sequence[str]
    fed: str = ""
    """what a stage that reads predictions was fed"""
    key: str = ""
    """identifies the section on the page; default: the name"""
    point: str = ""
    """of a sweep, the point that the page shows in full"""
    comparisons: Sequence[Comparison] = ()
    """headline metrics, first one first, each on the headline split"""
    shifts: Sequence[Comparison] = ()
    """the first headline metric on the other splits"""
    sweep: Sequence[Figure] = ()
    """all points of a sweep beside each other"""
    figures: Sequence[Figure] = ()
    displays: Sequence[Mapping[str, Any]] = ()
    """payloads of :func:`weft.report.display.event_payload`"""
    displayed: str = ""
    """how the displayed events were chosen"""
    thing: str = "event"
    """what is judged, in a word: `event`, `stack`, `image`"""
    logs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    curves: Mapping[str, str] = field(default_factory=dict)
    """which variants share a colour among the learning curves, best first; default: each has its own"""
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """``model.json`` of each variant"""
    rerun: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """What was found, by the first headline metric."""
        name = f"{self.name} with {self.point}" if self.point else self.name
        return self.comparisons[0].sentence(f"{name}, fed {self.fed}," if self.fed else name)

    @property
    def anchor(self) -> str:
        return self.key or self.name

    @property
    def title(self) -> str:
        """The name, and where it has several sections what is special about this one: ``points on truth``."""
        return self.name + self.key.removeprefix(self.name).replace("-", " ")


def render_report(path: Path, cover: Cover, stages: Sequence[StageReport]) -> None:
    """Write the report of an experiment, atomically."""
    page = environment().get_template("report.html")
    text = page.render(
        cover=cover,
        stages=[(stage, _drawn(stage)) for stage in stages],
        summary=json_for_script(summarise(cover, stages)),
        has_displays=any(stage.displays for stage in stages),
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    write_page(path, text)


def summarise(cover: Cover, stages: Sequence[StageReport]) -> dict[str, Any]:
    """The headline of a report as plain data."""
    return {
        "name": cover.name,
        "title": cover.title or cover.name,
        "facts": dict(cover.facts),
        "stages": [
            {
                "name": stage.title,
                "anchor": stage.anchor,
                "fed": stage.fed,
                "verdict": stage.comparisons[0].verdict,
                "sentence": stage.sentence,
                "claim_events": stage.comparisons[0].claim_events,
                "thing": stage.thing,
                "differences": [str(d) for d in (stage.comparisons[0].differences or {}).values()],
                "headline": [
                    {
                        "stage": stage.title,
                        "metric": c.label,
                        "model": None if math.isnan(c.mean) else c.mean,
                        "baseline": None if c.baseline is None or math.isnan(c.baseline) else c.baseline,
                        "events": c.n_events,
                        "seeds": len(c.model),
                    }
                    for c in stage.comparisons
                ],
            }
            for stage in stages
            if stage.comparisons
        ],
    }


def write_page(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def environment() -> jinja2.Environment:
    """Templates of the report, everything escaped that is not marked as HTML."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("weft.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        asset=asset,
        event_display=event_display,
        figure_html=figure_html,
        interval_bar=interval_bar,
        is_wide=is_wide,
        provenance_table=provenance_table,
        table_html=table_html,
        viewer_script=viewer_script,
    )
    made.filters.update(number=format_number, pretty_json=lambda value: json.dumps(value, indent=2, default=str))
    return made


def _drawn(stage: StageReport) -> list[Figure]:
    logs = {variant: log for variant, log in stage.logs.items() if len(log)}
    if not logs:
        return []
    best = {variant: int(record["best_step"]) for variant, record in stage.provenance.items() if "best_step" in record}
    metrics = [comparison.metric for comparison in stage.comparisons]
    return [learning_curves(f"{stage.anchor}-learning", logs, metrics, best, stage.curves)]


def is_wide(figure: Figure) -> bool:
    """Whether a figure wants the full width of the page: all but drawings of up to half of it."""
    width = re.search(r'<svg[^>]*?\bwidth="([\d.]+)pt"', figure.svg or "")
    return figure.svg is None or (width is not None and float(width[1]) > HALF_PAGE)


def figure_html(figure: Figure, anchor: str = "") -> Markup:
    """The body of a figure: drawing, table or fragment; ``anchor``: of the section, in the identifiers of drawings."""
    if figure.table is not None:
        return table_html(figure.table, figure.title)
    if figure.svg is not None:
        return (
            Markup('<div class="drawing">')
            + Markup(prefixed(figure.svg, anchor) if anchor else figure.svg)
            + Markup("</div>")
        )
    return Markup(figure.html)


def interval_bar(comparison: Comparison) -> Markup:
    """A small drawing of the paired differences: one line per seed, zero marked."""
    differences = list((comparison.differences or {}).values())
    if not differences:
        return Markup("")
    ends = [abs(end) for d in differences for end in (d.low, d.value, d.high) if math.isfinite(end)]
    reach = max(ends, default=0.0) or 1.0
    width, step = 150, 9
    height = step * len(differences) + 5

    def x(value: float) -> str:
        return f"{width / 2 + value / reach * (width / 2 - 5):.1f}"

    def drawn(y: int, d: Difference) -> Iterator[Markup]:
        if d.known:
            line = Markup('<line class="interval" x1="{}" x2="{}" y1="{}" y2="{}"/>')
            yield line.format(x(d.low), x(d.high), y, y)
        if math.isfinite(d.value):
            yield Markup('<circle cx="{}" cy="{}" r="2.6"/>').format(x(d.value), y)

    lines = Markup("").join(part for k, d in enumerate(differences) for part in drawn(step * k + 7, d))
    return Markup(
        '<svg class="bar-{}" viewBox="0 0 {} {}" width="{}" height="{}" role="img"><title>{}</title>'
        '<line class="zero" x1="{}" x2="{}" y1="0" y2="{}"/>{}</svg>'
    ).format(
        comparison.verdict,
        width,
        height,
        width,
        height,
        "difference to the baseline: " + "; ".join(f"{v} {d}" for v, d in (comparison.differences or {}).items()),
        width / 2,
        width / 2,
        height,
        lines,
    )


def provenance_table(records: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Variants side by side: code, machine, cost."""
    rows = []
    for variant, record in records.items():
        commit = str(record.get("commit", ""))[:10] or "not a checkout"
        seconds = record.get("wall_time_s")
        memory = record.get("peak_memory_mb")
        rows.append(
            {
                "variant": variant,
                "code": f"{record.get('weft', '')} {commit}" + (", with local changes" if record.get("dirty") else ""),
                "made": str(record.get("created", "")).replace("T", " ").replace("+00:00", " UTC"),
                "device": record.get("device", ""),
                "wall time [min]": None if seconds is None else round(seconds / 60, 2),
                "peak memory [GB]": None if memory is None else round(memory / 1000, 2),
                "parameters": pd.NA if record.get("parameters") is None else int(record["parameters"]),
                "best step": pd.NA if record.get("best_step") is None else int(record["best_step"]),
                "config": str(record.get("config_hash", ""))[:10],
            }
        )
    frame = pd.DataFrame(rows)
    for column in ("parameters", "best step"):
        frame[column] = frame[column].astype("Int64")
    return table_html(frame, "Provenance of each variant")
