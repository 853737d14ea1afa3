"""Which products of a deploy share a tree of a ROOT file (`weft deploy --root`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from weft.engine.chain import names_of
from weft.engine.task import Task
from weft.io.flat_root import require_flat


class _Maker(NamedTuple):
    name: str
    task: Task[Any]
    providers: Mapping[str, str]


def shared_trees(tasks: Mapping[str, Task[Any]]) -> dict[str, list[str]]:
    """``{tree: products}`` of the stages whose task names a tree (:attr:`weft.engine.task.Task.tree`), the products as
    they are called in the store of the stage or, of several stages, of the chain.

    tasks: by stage, in order. Raises WeftError where a product of such a stage is no table.
    """
    names = names_of([_Maker(stage, task, {}) for stage, task in tasks.items()])
    trees: dict[str, list[str]] = {}
    for stage, task in tasks.items():
        if task.tree is not None:
            require_flat(task.tree, task.makes, f"--root: stage '{stage}'")
            trees.setdefault(task.tree, []).extend(names[stage, schema.name] for schema in task.makes)
    return trees
