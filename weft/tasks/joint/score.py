"""Scores of all modules in one set of tables, and each module's own out of it.

Columns of a module are called ``<module>.<column>``. The events table has one row per event with the counts of all
modules; the other two have the rows of one module after those of the other, with its name in the column `module`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.metrics.scores import Scores
from weft.tasks.joint.wiring import Module

_OF_EVENT = ("run", "subrun", "event", "uid", "split", "shard")


class ModuleStore:
    """A scored store as one module sees it.

    names: ``{(module, product): name}`` in the store of predictions.
    """

    def __init__(self, store: Store, module: Module, names: Mapping[tuple[str, str], str]) -> None:
        self._store, self._module, self._names = store, module, names

    @property
    def events(self) -> np.ndarray:
        return self._store.events

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, product: object) -> bool:
        return self._name(str(product)) in self._store

    def __getitem__(self, product: str) -> Any:
        return self._store[self._name(product)]

    def read(self, product: str, start: int, stop: int) -> Any:
        return self._store.read(self._name(product), start, stop)

    def _name(self, product: str) -> str:
        alias, _, name = product.rpartition("/")
        if alias == "truth":
            return product
        module = self._module.name if alias == "prediction" else self._module.provider(product)
        return product if module is None else f"prediction/{self._names.get((module, name), name)}"


def together(scores: Mapping[str, Scores]) -> Scores:
    """The tables of the modules of one shard as one set of tables."""
    first = next(iter(scores.values())).events
    tables = [first[[name for name in _OF_EVENT if name in first]]]
    for name, part in scores.items():
        tables.append(prefixed(part.events.drop(columns=list(_OF_EVENT), errors="ignore"), name))
    events = pd.concat(tables, axis=1)
    objects = _stacked({name: part.objects for name, part in scores.items()})
    curves = _stacked({name: part.curves for name, part in scores.items()})
    for made, kind in ((events, "events"), (objects, "objects"), (curves, "curves")):
        made.attrs = {"columns": _meanings({name: getattr(part, kind) for name, part in scores.items()})}
    return Scores(events, objects, curves)


def own_counts(counts: pd.DataFrame, module: str) -> pd.DataFrame:
    """Of counts of all modules those of one."""
    prefix = f"{module}."
    own = counts[[name for name in counts if str(name).startswith(prefix)]]
    return own.rename(columns=lambda name: str(name).removeprefix(prefix))


def own_scores(scores: Scores, module: str) -> Scores:
    """The tables of one module as it made them, but for the order of their columns."""
    shared = scores.events[[name for name in _OF_EVENT if name in scores.events]]
    events = pd.concat([shared, own_counts(scores.events, module)], axis=1)
    tables = [_of_module(table, module) for table in (scores.objects, scores.curves)]
    made = Scores(events, *tables)
    for table, kind in zip(made, Scores._fields, strict=True):
        prefix = f"{module}."
        meanings = getattr(scores, kind).attrs.get("columns", {})
        table.attrs = {
            "columns": {
                name.removeprefix(prefix): meaning
                for name, meaning in meanings.items()
                if name.startswith(prefix) or name in _OF_EVENT
            }
        }
    return made


def prefixed(table: pd.DataFrame, module: str) -> pd.DataFrame:
    """The table with ``<module>.<column>`` for the name of each column."""
    return table.rename(columns=lambda name: f"{module}.{name}")


def _meanings(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    found: dict[str, str] = {}
    for module, table in tables.items():
        for name, meaning in table.attrs.get("columns", {}).items():
            found[name if name in _OF_EVENT else f"{module}.{name}"] = meaning
    return found


def _stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows below each other; a column is missing in the rows of other modules, whatever rows there are."""
    lengths = [len(table) for table in tables.values()]
    names = np.repeat(np.array(list(tables), dtype=object), lengths)
    splits = np.concatenate([table["split"].to_numpy(dtype=object) for table in tables.values()])
    columns: dict[str, Any] = {"module": pd.array(names, dtype="str"), "split": pd.array(splits, dtype="str")}
    for number, (module, table) in enumerate(tables.items()):
        before, after = sum(lengths[:number]), sum(lengths[number + 1 :])
        for name in table.columns.drop("split"):
            columns[f"{module}.{name}"] = _padded(table[name], before, after)
    return pd.DataFrame(columns)


def _padded(column: pd.Series, before: int, after: int) -> pd.Series:
    values = column.reset_index(drop=True).astype(_nullable(column.dtype))
    return values.reindex(range(-before, len(values) + after)).reset_index(drop=True)


def _nullable(dtype: Any) -> Any:
    """The dtype of the same values that may also be missing; of floats and text it is the same one."""
    if isinstance(dtype, np.dtype) and dtype.kind in "iu":
        return f"{'UInt' if dtype.kind == 'u' else 'Int'}{8 * dtype.itemsize}"
    return "boolean" if dtype == np.dtype(bool) else dtype


def _of_module(table: pd.DataFrame, module: str) -> pd.DataFrame:
    prefix = f"{module}."
    rows = table[table["module"] == module].reset_index(drop=True)
    own = rows[[name for name in rows if str(name).startswith(prefix)]].rename(
        columns=lambda name: str(name).removeprefix(prefix)
    )
    back = {name: dtype.numpy_dtype for name, dtype in own.dtypes.items() if hasattr(dtype, "numpy_dtype")}
    return own.astype({name: dtype for name, dtype in back.items() if dtype.kind in "iub"}).assign(split=rows["split"])
