"""Data frames as HTML tables: numbers aligned and rounded, classes with their colour, columns that sort."""

from __future__ import annotations

import math
import numbers
import re

import pandas as pd
from markupsafe import Markup, escape

from weft.report.palette import CLASS_COLORS, CLASS_NAMES

MISSING = "–"
MANY_COLUMNS = 6
"""wider tables are set tighter"""
_NUMBER = re.compile(r"([+\-\u2212]?\d+(?:\.\d+)?)(?=$| ±| \[| /)")
_INTERVAL = re.compile(r"\[[^\[\]]*\]")
_COLOR_OF_NAME = {name: CLASS_COLORS[k] for k, name in CLASS_NAMES.items() if k >= 0}


def format_number(value: object) -> str:
    """Four significant digits, thousands set apart by thin spaces, a true minus sign; missing values are a dash."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    if isinstance(value, numbers.Integral):
        text = f"{int(value):,}"
    else:
        number = float(value)
        size = abs(number)
        if size != 0 and (size < 1e-4 or size >= 1e7):
            text = f"{number:.3g}"
        else:
            decimals = 4 if size < 1 else max(0, 3 - math.floor(math.log10(size)))
            text = f"{number:,.{decimals}f}"
    return text.replace(",", "\u2009").replace("-", "\u2212")


def table_html(frame: pd.DataFrame, caption: str = "") -> Markup:
    """One sortable ``<table>`` of ``frame``; a named index is its first column, a class name gets its colour."""
    if frame.index.name or isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    numeric = [is_numeric(frame.iloc[:, k]) for k in range(frame.shape[1])]
    head = Markup("").join(
        Markup('<th scope="col"{}><button type="button">{}</button></th>').format(
            Markup(' class="number"') if flag else "", str(name).replace("95 %", "95\u00a0%")
        )
        for name, flag in zip(frame.columns, numeric, strict=True)
    )
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                _cell(value, flag, first=k == 0) for k, (value, flag) in enumerate(zip(row, numeric, strict=True))
            )
        )
        for row in frame.itertuples(index=False, name=None)
    )
    title = Markup("<caption>{}</caption>").format(caption) if caption else ""
    return Markup(
        '<div class="{}" tabindex="0" role="region" aria-label="{}"><table class="sortable">{}'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format("table many" if frame.shape[1] > MANY_COLUMNS else "table", caption or "table", title, head, rows)


def is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, or texts that begin with one, such as "0.97 ± 0.01" and "0.97 / 0.93"."""
    if pd.api.types.is_bool_dtype(column):
        return False
    values = [leading_number(value) for value in column]
    known = [value for value in values if value is not None and not math.isnan(value)]
    return bool(known) and None not in values


def leading_number(value: object) -> float | None:
    """The number that a cell is or begins with, NaN where it is missing, None for any other text."""
    if value is None or value is pd.NA or str(value).partition(" / ")[0] == MISSING:
        return math.nan
    if isinstance(value, numbers.Real):
        return float(value)
    found = _NUMBER.match(str(value))
    return float(found[1].replace("\u2212", "-")) if found else None


def _cell(value: object, numeric: bool, first: bool) -> Markup:
    # An interval is never broken, in a column of its own neither.
    text = escape(_INTERVAL.sub(lambda found: found[0].replace(", ", ",\u00a0"), format_number(value)))
    if numeric:
        # A narrow cell may break before its interval or after a slash, and nowhere else.
        text = text.replace(" ± ", "\u00a0±\u00a0").replace(" /", "\u00a0/")
        number = leading_number(value)
        key = "" if number is None or math.isnan(number) else repr(number)
        return Markup('<td class="number" data-value="{}">{}</td>').format(key, text)
    color = _COLOR_OF_NAME.get(str(value))
    if color:
        text = Markup('<span class="swatch" style="background:{}"></span>{}').format(color, text)
    return Markup('<th scope="row">{}</th>' if first else "<td>{}</td>").format(text)
