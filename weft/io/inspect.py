"""What is in a file: plain structures for programs, tables for people."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as RichTree

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.check import check as check_store
from weft.io.convert import open_source, recognise
from weft.io.inspect_tables import COLUMNS, label, surveyed
from weft.io.products import Ragged, Schema
from weft.io.store import EventStore, content_hash
from weft.io.writer import FORMAT

STORE, MODEL = "store", "model"

#: Rows of a product that `--event` shows.
_ROWS = 8


def kind_of(path: str | Path) -> str:
    """``store``, ``model`` (the JSON beside a model.ckpt, or the model.ckpt) or a source kind of `convert`."""
    path = Path(path)
    if path.name == "model.json" or path.suffix == ".ckpt":
        return MODEL
    if path.is_file() and _magic(path) == b"\x89HDF\r\n\x1a\n":
        try:
            with h5py.File(path, "r", locking=False) as file:
                if file.attrs.get("format") == FORMAT:
                    return STORE
        except OSError as error:
            raise WeftError(f"{path}: cannot be read (truncated or damaged?): {error}") from error
    return recognise(path)


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def describe(
    path: str | Path,
    event: int | None = None,
    products: Mapping[str, str | None] | None = None,
    classes: int | None = None,
    smallest: Sequence[int] | None = None,
) -> dict[str, Any]:
    """What `path` holds, as plain values.

    Args:
        path: an event store, a source of `weft convert`, or a model.
        event: number of an event of a store, whose rows are described as well.
        products: of a source, as `weft.io.convert.convert_file` takes them.
        classes, smallest: what files of stacks, images and meshes are checked against, see `survey` of their sources.

    Raises:
        WeftError: an unknown kind of file, or no such event.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == STORE:
        return _describe_store(path, event)
    if event is not None:
        raise WeftError(f"{path}: --event needs an event store, this is a {kind} file: convert it first")
    if kind == MODEL:
        record = path if path.suffix == ".json" else path.with_name("model.json")
        if not record.is_file():
            raise WeftError(f"{record}: no such file; it is written beside model.ckpt")
        return {"path": str(path), "kind": kind, "record": json.loads(record.read_text())}
    source = open_source(path, kind, products)
    try:
        # Every value of a stack, an image or a mesh is looked at: what is wrong with labels is in no header.
        seen = [one.to_json() for one in source.survey(classes, smallest)] if hasattr(source, "survey") else None
        return ({} if seen is None else {kind: seen}) | {
            "path": str(path),
            "kind": kind,
            "events": source.entries,
            "products": {schema.name: _schema(schema) for schema in source.schemas},
            "skipped": dict(source.skipped),
            "about": dict(source.about),
            "notes": dict(source.notes),
        }
    finally:
        source.close()


def _schema(schema: Schema) -> dict[str, Any]:
    return {
        "kind": schema.kind,
        "on": schema.on,
        "items_on": schema.items_on,
        "columns": {
            column.name: {
                "unit": column.unit,
                "type": str(schema.dtype if schema.dtype.names is None else schema.dtype[column.name]),
                "description": column.description,
            }
            for column in schema.columns
        },
        "version": schema.version,
        "description": schema.description,
    }


def _describe_store(path: Path, event: int | None) -> dict[str, Any]:
    with EventStore.open(path) as store:
        file = store.files["0"]
        products = {}
        for name, schema in store.products.items():
            products[name] = _schema(schema)
            if schema.kind != "dense":
                counts = store[name].counts
                products[name]["total"] = int(counts.sum())
                products[name]["mean"] = float(counts.mean()) if len(counts) else 0.0
                products[name]["largest"] = int(counts.max(initial=0))
        found: dict[str, Any] = {
            "path": str(path),
            "kind": STORE,
            "events": len(store),
            "bytes": path.stat().st_size,
            "content_hash": store.content_hash,
            "parents": file.parents,
            "products": products,
            "provenance": file.provenance,
        }
        if event is not None:
            if not 0 <= event < len(store):
                raise WeftError(f"{path}: no event {event}; it has {len(store)}, counted from 0")
            number = {name: int(store.events[name][event]) for name in ("run", "subrun", "event", "uid")}
            found["event"] = {
                "number": event,
                **number,
                "products": {n: _event(store, n, event) for n in store.products},
            }
        return found


def _event(store: EventStore, name: str, i: int) -> dict[str, Any]:
    """Size and first rows of one event's product."""
    value, schema = store[name][i], store.products[name]
    if schema.kind == "dense":
        return {"shape": list(value.shape), "rows": []}
    if isinstance(value, Ragged):
        return {
            "items": len(value),
            "counts": value.counts[:_ROWS].tolist(),
            "rows": _plain(value.values[:_ROWS], schema),
        }
    return {"shape": list(value.shape), "rows": _plain(value[:_ROWS], schema)}


def _plain(rows: np.ndarray, schema: Schema) -> list[dict[str, Any]]:
    names = [column.name for column in schema.columns]
    plain = []
    for row in rows:
        values = row.tolist() if rows.dtype.names or rows.ndim > 1 else [row.item()]
        plain.append({n: schema.codes.get(n, {}).get(v, v) for n, v in zip(names, values, strict=True)})
    return plain


def render(found: Mapping[str, Any]) -> RenderableType:
    """`describe`'s structure as tables."""
    head = Table.grid(padding=(0, 2))
    for key in ("path", "kind", "events", "bytes", "content_hash"):
        if key in found:
            head.add_row(Text(key.replace("_", " "), style="bold"), f"{found[key]}")
    parts: list[RenderableType] = [head]
    if "products" in found:
        parts.append(_products_table(found["products"]))
    parts += [surveyed(kind, found[kind]) for kind in COLUMNS if kind in found]
    if "event" in found:
        parts += list(_event_tables(found["event"]))
    about = found.get("about", {})
    if found["kind"] in COLUMNS:  # of single files the table has said it
        about = {key: value for key, value in about.items() if key not in ("images", "meshes")}
    trees = {**found, "about": about}
    for key in ("skipped", "parents", "about", "notes", "provenance", "record"):
        if trees.get(key):
            parts.append(_tree(key, trees[key]))
    return Group(*parts)


def _products_table(products: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    counted = any("total" in product for product in products.values())
    table.add_column("product", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for name in ("rows", "per event", "largest") if counted else ():
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("on", overflow="fold")
    table.add_column("columns", overflow="fold")
    for name, product in products.items():
        columns = [f"{c} [{v['unit']}]" if v["unit"] else c for c, v in product["columns"].items()]
        shown = ", ".join(columns[:6]) + (f", … ({len(columns)})" if len(columns) > 6 else "")
        on = ", ".join(filter(None, (product["on"], product["items_on"] and f"items: {product['items_on']}")))
        counts = ["", "", ""] if counted else []
        if "total" in product:
            counts = [f"{product['total']:,}", f"{product['mean']:.1f}", f"{product['largest']:,}"]
        table.add_row(name, product["kind"], *counts, on, Text(shown))
    return table


def _event_tables(event: Mapping[str, Any]) -> Iterable[RenderableType]:
    for name, product in event["products"].items():
        size = f"{product['items']} items" if "items" in product else " × ".join(map(str, product["shape"]))
        yield Text(f"event {event['number']}: {name}, {size}", style="bold")
        table = Table(box=box.SIMPLE_HEAD)
        rows = product["rows"]
        columns = list(rows[0])[:8] if rows else []
        for column in columns:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*(f"{row[c]:.4g}" if isinstance(row[c], float) else str(row[c]) for c in columns))
        yield table


def _tree(label: str, value: Any) -> RichTree:
    tree = RichTree(Text(label, style="bold"))

    def grow(branch: RichTree, item: Any) -> None:
        for key, inner in item.items():
            if isinstance(inner, Mapping) and inner:
                grow(branch.add(Text(str(key))), inner)
            else:
                branch.add(Text(f"{key}: {inner}"))

    grow(tree, value)
    return tree


def shard_ranges(paths: Sequence[str | Path], events_per_shard: int) -> list[tuple[str, int, int]]:
    """(file, start, stop) ranges of at most `events_per_shard` entries that cover the given sources of `convert`."""
    if events_per_shard < 1:
        raise WeftError(f"events per shard is {events_per_shard}, expected at least 1")
    ranges = []
    for path in paths:
        source = open_source(path)
        if hasattr(source, "refuse_damaged"):  # of stacks, whose entries a damaged file does not say
            source.refuse_damaged()
        entries = source.entries
        source.close()
        ranges += [(str(path), a, min(a + events_per_shard, entries)) for a in range(0, entries, events_per_shard)]
    return ranges


def write_manifest(ranges: Sequence[tuple[str, int, int]], target: str | Path) -> None:
    """CSV with the columns file, start, stop, as datasets read it."""
    target = Path(target)
    if target.suffix != ".csv":
        raise WeftError(f"{target}: a manifest is a .csv file")
    with atomic_path(target) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "start", "stop"))
        writer.writerows(ranges)


def run(
    paths: Sequence[Path],
    event: int | None = None,
    check: bool = False,
    hash_only: bool = False,
    manifest: Path | None = None,
    events_per_shard: int = 1000,
    products: Mapping[str, str | None] | None = None,
    classes: int | None = None,
    smallest: Sequence[int] | None = None,
) -> None:
    """`weft inspect`: print what is asked for; of stacks, images and meshes `check` looks for what is no use.

    Raises:
        WeftError: a file that cannot be read; with `check`, after all problems were printed.
    """
    console = Console()
    if manifest is not None:
        ranges = shard_ranges(paths, events_per_shard)
        write_manifest(ranges, manifest)
        print(f"{manifest}: {len(ranges)} shards of {len(paths)} files")
        return
    problems = 0
    for path in paths:
        if hash_only:
            print(content_hash(path) if len(paths) == 1 else f"{content_hash(path)}  {path}")
        elif check:
            files = kind_of(path) in COLUMNS
            found = _check_files(path, products, classes, smallest) if files else check_store(path)
            problems += len(found)
            for line in found or [f"{path}: no problem found"]:
                print(line)
        else:
            console.print(render(describe(path, event, products, classes, smallest)))
    if problems:
        raise WeftError(f"{problems} problem{'s' if problems > 1 else ''} found in {len(paths)} file(s)")


def _check_files(
    path: Path, products: Mapping[str, str | None] | None, classes: int | None, smallest: Sequence[int] | None
) -> list[str]:
    seen = describe(path, None, products, classes, smallest)
    rows = next(seen[kind] for kind in COLUMNS if kind in seen)
    return [f"{path}: {label(row)}: {text}" for row in rows for text in row["problems"]]
