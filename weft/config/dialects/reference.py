"""The tables of keys in docs/coming_from.md. ``python -m weft.config.dialects.reference FILE`` writes them anew."""

from __future__ import annotations

import re
import sys
from functools import partial
from itertools import groupby
from pathlib import Path

from weft.config.dialects import DIALECTS, Dialect
from weft.config.dialects.rules import Rule

#: Blocks whose keys are those of another one, which docs/coming_from.md says in a sentence.
_SAID_ONCE = ("base.train.", "model.modules.uresnet_ppn.", "model.modules.uresnet_ppn_loss.")


def table(dialect: Dialect) -> str:
    """The keys of a dialect as Markdown tables, one for each block and each module of the model.

    Neighbours of which the same is said share a line.
    """
    shown = [(key, rule) for key, rule in dialect.table.items() if not key.startswith(_SAID_ONCE)]
    sections: dict[str, list[tuple[str, Rule]]] = {}
    for key, rule in shown:
        sections.setdefault(_section(key), []).append((key, rule))
    if not any(name.startswith("model.modules.") for name in sections):
        return _rows(shown)
    return "\n".join(f"`{name}`\n\n{_rows(keys, name)}" for name, keys in sections.items())


def _section(key: str) -> str:
    """The block of a key: a module with its loss, or what stands at the top level."""
    module = re.match(r"model\.modules\.(\{[^}]*\}|[^.]+)", key)
    return module[0].replace("_loss", "") if module else key.partition(".")[0]


def _rows(shown: list[tuple[str, Rule]], section: str = "") -> str:
    """A table of keys, each without what the name of its section says already."""
    rows = ["| key there | key here | what happens |", "|---|---|---|"]

    def what(item: tuple[str, Rule]) -> tuple[str, ...]:
        key, rule = item
        ours, says = rule.describe()
        return (_parent(key), ours, says)

    for _, group in groupby(shown, what):
        keys, rules = zip(*group, strict=True)
        parent, names = _parent(keys[0]), [key.removeprefix(_parent(key)).lstrip(".") for key in keys]
        key = keys[0] if len(keys) == 1 else f"{parent}.{{{', '.join(names)}}}" if parent else ", ".join(names)
        ours, says = rules[0].describe()
        rows.append(f"| `{_below(key, section)}` | {f'`{ours}`' if ours else '–'} | {says} |")
    return "\n".join(rows) + "\n"


def _parent(key: str) -> str:
    """All but the last part of a key, whose parts may be choices with names in braces."""
    return re.sub(r"\.?(\{[^}]*\}|[^.{}]+)$", "", key)


def _below(key: str, section: str) -> str:
    """A key as it stands in a section; that of a loss says so."""
    if not section.startswith("model.modules."):
        return key
    loss = section.replace(",", "_loss,").replace("}", "_loss}") if "{" in section else f"{section}_loss"
    for prefix, word in ((loss, "loss: "), (section, "")):
        if key.startswith(f"{prefix}."):
            return word + key.removeprefix(f"{prefix}.")
    return key.removeprefix("model.modules.")


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
