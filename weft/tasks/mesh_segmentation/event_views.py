"""One mesh in the report: its faces with what is true and what was predicted."""

from __future__ import annotations

from collections.abc import Sequence

from weft.engine.task import Store
from weft.report.figure import Figure
from weft.report.mesh_view import event_caption, view_mesh


def event_figures(store: Store, index: int, note: str, classes: Sequence[str]) -> list[Figure]:
    """The viewer of mesh `index`; note: why this one."""
    return [view_mesh(store, index, event_caption(store, index, note), ("truth", "prediction"), classes)]
