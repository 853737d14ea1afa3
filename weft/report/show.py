"""Displays of events in stores: one event as a page of its own, or payloads for a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import WeftError
from weft.io.store import EventStore
from weft.reco.feed import FedStore
from weft.report.clouds import can_show_cloud, cloud_payload
from weft.report.display import Grid, event_payload
from weft.report.mesh_view import can_show_mesh, mesh_figure
from weft.report.overlays import PREDICTION, TRUTH, layers, markers
from weft.report.page import environment, write_page
from weft.report.picture_view import can_show_picture, picture_figure
from weft.report.stack_view import can_show_stack, stack_figure


def can_show(store: EventStore) -> bool:
    """Whether the events of a store are voxels with a charge."""
    return all(name in store for name in ("meta", "voxels", "charge"))


def grid_of(meta: np.ndarray) -> Grid:
    """The box of an event from its row of ``meta``."""
    row = meta[0]
    origin, size, shape = (tuple(row[name.format(a)].item() for a in "xyz") for name in ("min_{}", "size_{}", "n{}"))
    return Grid(origin, size, shape)


def store_payload(store: EventStore, index: int, subtitle: str = "", label: str = "") -> dict[str, Any]:
    """Event ``index`` of a store opened as ``truth`` and, where there are predictions, ``prediction``, beside the
    predictions that these were made from."""
    fed = FedStore(store)
    voxels = fed["voxels"][index]
    charge = fed["charge"][index][:, 0]

    def column(product: str) -> np.ndarray | None:
        return store[product][index] if product in store else None

    # What is judged, or what it was made from.
    said = [alias for alias in (PREDICTION, *store.files) if alias != TRUTH and f"{alias}/semantics" in store]
    truth, predicted = column(f"{TRUTH}/semantics"), column(f"{said[0]}/semantics") if said else None
    scores = column(f"{said[0]}/semantic_scores") if said else None
    score = None
    if scores is not None and predicted is not None:
        called = predicted[:, 0].astype(np.int64)
        score = scores[np.arange(len(scores)), np.maximum(called, 0)]
    found = layers(fed, index)
    judged = [layer.name for layer in found if layer.judged]
    event = store.events[index]
    facts = [subtitle] if subtitle else []
    facts += [f"{len(voxels)} voxels", f"{charge.sum():.0f} MeV visible"]
    return event_payload(
        voxels,
        charge,
        truth,
        predicted,
        score,
        grid=grid_of(fed["meta"][index]),
        title=f"event {event['run']}/{event['subrun']}/{event['event']}",
        subtitle=", ".join(facts),
        label=label,
        layers=found,
        markers=markers(fed, index),
        color=judged[0] if judged and f"{PREDICTION}/semantics" not in store else None,
    )


def show_event(stores: Mapping[str, Path], event: int, output: Path) -> None:
    """Write a page with the rotatable display of one event, the slice viewer of one stack, or the viewer of one mesh or
    picture.

    ``stores`` maps ``truth`` and, if wanted, ``prediction`` to event stores; ``event`` is its number in the file.
    Stacks are shown with the outlines of all labels that there are, meshes and pictures with their classes, triplets
    with scores and space points where there are any, else voxels. Raises `WeftError` where there is no such event, and
    nothing of it that can be shown.
    """
    with EventStore.open(stores) as store:
        where = stores[TRUTH]
        if not 0 <= event < len(store):
            raise WeftError(f"{where}: no event {event}; events are numbered 0 to {len(store) - 1}")
        if can_show_stack(store):
            shown: dict[str, Any] = {"figure": stack_figure(store, event)}
        elif can_show_mesh(store):
            shown = {"figure": mesh_figure(store, event)}
        elif can_show_picture(store):
            shown = {"figure": picture_figure(store, event)}
        elif can_show_cloud(store):
            shown = {"payload": cloud_payload(store, event)}
        elif can_show(store):
            shown = {"payload": store_payload(store, event)}
        else:
            raise WeftError(
                f"{where}: a display needs the products meta, voxels and charge, or triplets with triplet_scores, or "
                "space_points, or the image of a stack, or the vertices and faces of a mesh, or a picture"
            )
    page = "figure.html" if "figure" in shown else "event.html"
    write_page(output, environment().get_template(page).render(**shown, files=[str(p) for p in stores.values()]))
