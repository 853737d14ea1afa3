"""The tables of keys in docs/coming_from.md. ``python -m weft.config.dialects.reference FILE`` writes them anew."""

from __future__ import annotations

import re
import sys
from functools import partial
from itertools import groupby
from pathlib import Path

from weft.config.dialects import DIALECTS, Dialect
from weft.config.dialects.rules import Rule


def table(dialect: Dialect) -> str:
    """The keys of a dialect as a Markdown table; neighbours of which the same is said share a line."""
    rows = ["| key there | key here | what happens |", "|---|---|---|"]
    shown = [(key, rule) for key, rule in dialect.table.items() if not key.startswith("base.train.")]

    def what(item: tuple[str, Rule]) -> tuple[str, ...]:
        key, rule = item
        ours, says = rule.describe()
        return (key,) if ours else (key.rpartition(".")[0], says)

    for _, group in groupby(shown, what):
        keys, rules = zip(*group, strict=True)
        parent, names = keys[0].rpartition(".")[0], [key.rpartition(".")[2] for key in keys]
        key = keys[0] if len(keys) == 1 else f"{parent}.{{{', '.join(names)}}}" if parent else ", ".join(names)
        ours, says = rules[0].describe()
        rows.append(f"| `{key}` | {f'`{ours}`' if ours else '–'} | {says} |")
    return "\n".join(rows) + "\n"


def _placed(rows: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}\n{rows}\n{marks[2]}"


def filled(text: str) -> str:
    """A page with every table between ``<!-- keys of NAME -->`` and ``<!-- end -->`` as the dialects have it."""
    for name, dialect in DIALECTS.items():
        place = re.compile(rf"(<!-- keys of {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(partial(_placed, table(dialect)), text)
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(filled(page.read_text()))
