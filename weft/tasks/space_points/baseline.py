"""Key points without a network: the ends of connected pieces of the cloud, told apart by shape and charge.

The space points are those of the stage itself, so what is compared is how key points are found.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from weft.engine.fitted_file import read_fitted, write_fitted
from weft.engine.task import Baseline, Event, Products
from weft.graph.closest import farthest_pairs
from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINTS
from weft.reco.dbscan import dbscan
from weft.reco.nodes import by_label, numbered_by_first
from weft.tasks.space_points.options import BaselineOptions, Options
from weft.tasks.space_points.task import SpacePoints
from weft.triplets.key_points import xyz

_FILE = "key-point"
_VERTEX, _START, _END, _SHOWER = (
    KEY_POINT_KINDS.index(kind) for kind in ("nu_vertex", "track_start", "track_end", "shower_start")
)


class CloudEndsBaseline(Baseline):
    """Predict, save and load; neither events nor the seed matter.

    Space points within `eps` of each other are a piece; of each large enough piece the two points farthest apart are
    its ends. A straight piece is a track, its end is the one with more charge around it, as a stopping particle
    ionises most there; any other is a shower that starts at its narrower half. Where ends of several pieces lie within
    `vertex_radius` of each other there is a vertex. Michel electrons and delta rays are not told apart from these.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._task = SpacePoints(options)

    def fit(self, events: Iterable[Event], seed: int) -> None:
        """There is nothing to learn, so no event is read."""

    def predict(self, event: Event) -> Products:
        """`space_points` and, where the stage finds key points, `key_points`."""
        products = self._task.predict_event(event)
        if "key_points" in products:
            products["key_points"] = cloud_ends(products["space_points"], self.options.baseline)
        return products

    def save(self, path: Path) -> None:
        write_fitted(path, _FILE, {"options": self.options.model_dump(mode="json")})

    @classmethod
    def load(cls, path: Path) -> CloudEndsBaseline:
        return cls(Options(**read_fitted(path, _FILE)["options"]))


def cloud_ends(points: np.ndarray, options: BaselineOptions) -> np.ndarray:
    """`KEY_POINTS` of `space_points`; their score is the larmatch score there, 1 of a vertex, their support the size of
    the piece, of a vertex the number of ends."""
    position = xyz(points)
    label = dbscan(position, options.eps)
    sizes = np.bincount(label, minlength=1)
    pieces = by_label(numbered_by_first(np.where(sizes[label] >= options.min_size, label, -1)))
    if not len(pieces):
        return np.zeros(0, KEY_POINTS.dtype)
    ends = farthest_pairs(position, pieces).rows
    track = _straightness(position[pieces.values], pieces.counts) >= options.straight
    turned = np.where(
        track,
        np.diff(_charge_near(points, position, position[ends], options.vertex_radius))[:, 0] < 0,
        _narrow_at_second(position, pieces.values, pieces.counts, ends),
    )
    ends = np.where(turned[:, None], ends[:, ::-1], ends)
    size = pieces.counts
    found = [
        _rows(points[ends[track, 0]], _START, size[track]),
        _rows(points[ends[track, 1]], _END, size[track]),
        _rows(points[ends[~track, 0]], _SHOWER, size[~track]),
        _vertices(position[ends], options.vertex_radius),
    ]
    made = np.concatenate(found)
    return made[np.lexsort([made["z"], made["y"], made["x"], -made["score"], made["kind"]])]


def _rows(points: np.ndarray, kind: int, support: np.ndarray) -> np.ndarray:
    made = np.empty(len(points), KEY_POINTS.dtype)
    made["kind"], made["support"], made["score"] = kind, support, points["larmatch"]
    for axis in "xyz":
        made[axis] = points[axis]
    return made


def _sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums (pieces, ...) of the values (n, ...) of pieces that lie end to end; none is empty."""
    return np.add.reduceat(values, np.cumsum(counts) - counts, axis=0)


def _straightness(position: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """float64 (pieces,): share of the spread that is along the longest axis; 1 of a line, 1/3 of a ball."""
    mean = _sums(position, counts) / counts[:, None]
    off = position - np.repeat(mean, counts, axis=0)
    spread = np.linalg.eigvalsh(_sums(off[:, :, None] * off[:, None, :], counts))
    total = spread.sum(axis=1)
    return np.divide(spread[:, 2], total, out=np.ones(len(counts)), where=total > 0)


def _charge_near(points: np.ndarray, position: np.ndarray, ends: np.ndarray, radius: float) -> np.ndarray:
    """float64 (pieces, 2): mean charge of live pixels of the space points within a radius of each end."""
    from scipy.spatial import cKDTree

    charge = np.stack([points[f"charge_{plane}"] for plane in range(3)], axis=1).astype(np.float64)
    live = charge > 0
    mean = charge.sum(axis=1) / np.maximum(live.sum(axis=1), 1)
    near = cKDTree(position).query_ball_point(ends.reshape(-1, 3), radius, return_sorted=True)
    counts = np.array([len(rows) for rows in near])
    return (_sums(mean[np.concatenate(near).astype(np.int64)], counts) / counts).reshape(-1, 2)


def _narrow_at_second(position: np.ndarray, rows: np.ndarray, counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """bool (pieces,): whether the half at the second end lies closer to the line between both ends."""
    first = position[ends[:, 0]]
    axis = position[ends[:, 1]] - first
    length = np.linalg.norm(axis, axis=1)
    axis = axis / np.maximum(length, 1e-9)[:, None]
    from_first = position[rows] - np.repeat(first, counts, axis=0)
    direction = np.repeat(axis, counts, axis=0)
    along = np.einsum("ij,ij->i", from_first, direction)
    off = np.linalg.norm(from_first - along[:, None] * direction, axis=1)
    second = along > np.repeat(length / 2, counts)
    widths = [
        _sums(off * half, counts) / np.maximum(_sums(half.astype(float), counts), 1) for half in (~second, second)
    ]
    return widths[1] < widths[0]


def _vertices(ends: np.ndarray, radius: float) -> np.ndarray:
    """`KEY_POINTS` where ends (pieces, 2, 3) of at least two pieces hang together within a radius: their mean."""
    place = ends.reshape(-1, 3)
    group = dbscan(place, radius)
    piece = np.repeat(np.arange(len(ends)), 2)
    several = np.bincount(np.unique(np.stack([group, piece]), axis=1)[0]) >= 2
    number = np.bincount(group)
    made = np.zeros(int(several.sum()), KEY_POINTS.dtype)
    made["kind"], made["score"], made["support"] = _VERTEX, 1, number[several]
    for axis, name in enumerate("xyz"):
        made[name] = (np.bincount(group, place[:, axis]) / number)[several]
    return made
