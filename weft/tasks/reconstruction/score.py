"""Score tables of a reconstruction: reconstructed objects beside the true ones that they match, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.io.products import SHOWER, TRACK, Ragged
from weft.io.reco_products import PIDS
from weft.metrics.binned import bin_of
from weft.metrics.scores import Scores
from weft.reco.containment import inside
from weft.reco.matching import Matches, match, overlap_matrix
from weft.reco.objects import reconstructed
from weft.reco.positions import xyz
from weft.reco.settings import Settings
from weft.reco.true_objects import true_objects
from weft.tasks.reconstruction.metrics import BINNED, SINGLE, TYPES, bins_of, confusion_columns, count_columns

#: Objects that are best matches of each other with at least this IoU are the same.
SAME = 0.5
#: cm
NEAR = 3.0
_TRUTH = ("meta", "voxels", "charge", "semantics", "clusters", "particles")

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    "n_voxels": "voxels",
    **SINGLE,
    "n_pid_<i><j>": "found particles of true type i called type j; 6: no type",
    **{f"n_{name}_<k>": f"{meaning}, bin k" for name, (_, meaning) in BINNED.items()},
}
_OWN: Mapping[str, str] = {
    "shape": "semantic class; −1 of an interaction",
    "pid": "type; −1 of an interaction",
    "is_primary": "1: from the vertex",
    "is_contained": "1: all voxels keep the margin",
    "size": "voxels",
    "energy": "visible energy [MeV]",
    "ke": "best kinetic energy [MeV]; of a true particle that at creation",
    "length": "length of a track [cm]",
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "kind": "particle or interaction",
    "side": "truth: a true object and its best match; prediction: a reconstructed one and its best match",
    "id": "row of the object",
    "match": "row of the best match of the other side, -1 without",
    "iou": "IoU with it",
    "same": "best matches of each other, IoU at least 0.5",
    **_OWN,
    **{f"match_{name}": f"of the match: {meaning}" for name, meaning in _OWN.items()},
    "calo_ke": "reconstructed calorimetric kinetic energy [MeV], of the object or its match",
    "csda_ke": "reconstructed kinetic energy by range [MeV]",
    "mcs_ke": "reconstructed kinetic energy by multiple scattering [MeV]",
    "start_distance": "between true and reconstructed start [cm]",
    "end_distance": "between true and reconstructed end, tracks only [cm]",
    "angle": "between true and reconstructed direction at the start [degrees]",
    "vertex_distance": "between true and reconstructed vertex, interactions only [cm]",
    "topology": "interactions: n_photon·10⁵ + … + n_kaon of the object, nine at most each",
    "match_topology": "of the match",
}
_INTEGERS = ("id", "match", "shape", "pid", "is_primary", "is_contained", "size", "topology")


def score_shard(store: Store, split: str, shard: str, settings: Settings) -> Scores:
    """Score one shard.

    store: reads prediction/reco_* and truth/{meta, voxels, charge, semantics, clusters, particles}.
    settings: margins and directions of true objects are measured alike.
    Returns tables with the columns EVENT_COLUMNS and OBJECT_COLUMNS; there are no curves.
    """
    cheap = settings.model_copy(
        update={
            "scattering": settings.scattering.model_copy(update={"enabled": False}),
            "template": settings.template.model_copy(update={"enabled": False}),
        }
    )
    names = [name for name in store_products() if f"prediction/{name}" in store]
    counts = np.zeros((len(store), len(count_columns())), np.int64)
    voxels = np.zeros(len(store), np.int64)
    objects = []
    for i in range(len(store)):
        event = {name: store[f"truth/{name}"][i] for name in _TRUTH}
        predicted = {name: store[f"prediction/{name}"][i] for name in names}
        scored = _Event(event, predicted, cheap)
        counts[i] = [scored.counts[name] for name in count_columns()]
        voxels[i] = len(event["voxels"])
        objects.append(scored.objects().assign(uid=store.events["uid"][i]))
    frame = pd.DataFrame({name: store.events[name] for name in ("run", "subrun", "event", "uid")})
    frame["split"] = pd.array([split] * len(store), dtype="str")
    frame["shard"] = pd.array([shard] * len(store), dtype="str")
    frame["n_voxels"] = voxels
    events = pd.concat([frame, pd.DataFrame(counts, columns=count_columns())], axis=1)
    table = pd.concat(objects, ignore_index=True) if objects else _no_objects()
    table["split"] = pd.array([split] * len(table), dtype="str")
    table = table[list(OBJECT_COLUMNS)].astype({"uid": "u8", "kind": "str", "side": "str"})
    events.attrs, table.attrs = {"columns": dict(EVENT_COLUMNS)}, {"columns": dict(OBJECT_COLUMNS)}
    return Scores(events, table, pd.DataFrame({"uid": pd.Series(dtype="u8"), "split": pd.Series(dtype="str")}))


def store_products() -> tuple[str, ...]:
    """Products of a prediction that are scored."""
    names = ("fragments", "fragment_voxels", "particles", "particle_voxels", "particle_fragments", "interactions")
    return tuple(f"reco_{name}" for name in (*names, "interaction_particles"))


class _Event:
    """One event: objects of both sides, matched, and what is counted of them."""

    def __init__(self, event: Mapping[str, Any], predicted: Mapping[str, Any], settings: Settings) -> None:
        place = event["voxels"], event["charge"], event["meta"]
        self.truth = reconstructed(true_objects(event, settings), *place, truth=True)
        self.reco = reconstructed(predicted, *place)
        self.meta = event["meta"]
        self.counts = dict.fromkeys(count_columns(), 0)
        self.matched = {
            name: self._match(*(side.tables["particle_voxels"] if name == "particles" else side.interaction_voxels
                                for side in (self.reco, self.truth)))
            for name in ("particles", "interactions")
        }  # fmt: skip
        self._count_particles()
        self._count_interactions()

    def _match(self, first: Ragged, second: Ragged) -> tuple[Matches, Matches]:
        return match(overlap_matrix(first, second, len(self.reco.voxels)))

    def _same(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows of reconstructed and true objects that are the same."""
        reco, truth = self.matched[name]
        rows = np.flatnonzero((truth.best >= 0) & (truth.best_overlap >= SAME))
        rows = rows[reco.best[truth.best[rows]] == rows]
        return truth.best[rows], rows

    def _bin(self, name: str, values: np.ndarray) -> None:
        values = values[np.isfinite(values)]
        edges = BINNED[name][0]
        found = np.bincount(bin_of(values, edges), minlength=len(edges) - 1)
        for column, n in zip(bins_of(name), found.tolist(), strict=True):
            self.counts[column] += n

    def _count_particles(self) -> None:
        reco, truth = self.reco.tables["particles"], self.truth.tables["particles"]
        rows, true_rows = self._same("particles")
        r, t, counts = reco[rows], truth[true_rows], self.counts
        counts["n_true_particles"], counts["n_reco_particles"] = len(truth), len(reco)
        counts["n_found_particles"] = len(rows)
        counts["n_true_primaries"] = int((truth["is_primary"] == 1).sum())
        # A reconstructed primary of which the truth knows nothing is neither right nor wrong.
        best = self.matched["particles"][0].best
        unknown = np.zeros(len(reco), bool)
        unknown[best >= 0] = truth["is_primary"][best[best >= 0]] < 0
        counts["n_reco_primaries"] = int(((reco["is_primary"] == 1) & ~unknown).sum())
        counts["n_right_primaries"] = int(((r["is_primary"] == 1) & (t["is_primary"] == 1)).sum())
        typed = t["pid"] >= 0
        called = np.where(r["pid"] >= 0, r["pid"], TYPES - 1).astype(np.int64)
        keys = t["pid"][typed].astype(np.int64) * TYPES + called[typed]
        for column, n in zip(confusion_columns(), np.bincount(keys, minlength=TYPES**2).tolist(), strict=True):
            counts[column] = n
        both = {shape: (t["shape"] == shape) & (r["shape"] == shape) for shape in (SHOWER, TRACK)}
        primary, inner = t["is_primary"] == 1, t["is_contained"] == 1
        turned = angle(xyz(r, "start_dir"), xyz(t, "true_dir"))
        self._bin("shower_angle", turned[both[SHOWER] & primary])
        self._bin("track_angle", turned[both[TRACK] & primary])
        known = t["ke_init"] > 0
        for name, column, chosen in (
            ("shower_energy", "ke", both[SHOWER] & inner),
            ("track_energy", "ke", both[TRACK]),
            ("csda_energy", "csda_ke", both[TRACK] & inner),
            ("mcs_energy", "mcs_ke", both[TRACK]),
            ("calo_energy", "calo_ke", both[TRACK] & inner),
        ):
            chosen = chosen & known
            self._bin(name, r[column][chosen].astype(np.float64) / t["ke_init"][chosen] - 1)

    def _count_interactions(self) -> None:
        reco, truth, counts = self.reco.tables["interactions"], self.truth.tables["interactions"], self.counts
        rows, true_rows = self._same("interactions")
        r, t = reco[rows], truth[true_rows]
        counts["n_true_interactions"], counts["n_reco_interactions"] = len(truth), len(reco)
        counts["n_found_interactions"] = counts["n_true_topologies"] = len(rows)
        true_vertex = xyz(truth, "true_vertex")
        known = inside(true_vertex, self.meta, 0.0)
        distance = np.linalg.norm(xyz(r, "vertex") - true_vertex[true_rows], axis=1)[known[true_rows]]
        counts["n_vertices"] = int(known.sum())
        counts["n_vertices_within_3cm"] = int((distance < NEAR).sum())
        self._bin("vertex", distance)
        counts["n_right_topologies"] = int((_topology(r) == _topology(t)).sum())

    # --- objects --------------------------------------------------------------------------------------------

    def objects(self) -> pd.DataFrame:
        frames = [self._side(kind, side) for kind in ("particles", "interactions") for side in ("truth", "prediction")]
        return pd.concat(frames, ignore_index=True)

    def _side(self, kind: str, side: str) -> pd.DataFrame:
        of_truth = side == "truth"
        own, other = (self.truth, self.reco) if of_truth else (self.reco, self.truth)
        matches = self.matched[kind][int(of_truth)]
        mine, theirs = own.tables[kind], other.tables[kind]
        best, n = matches.best, len(mine)
        with_match = best >= 0
        rows, true_rows = self._same(kind)
        same = np.zeros(n, bool)
        same[true_rows if of_truth else rows] = True
        frame: dict[str, Any] = {"id": np.arange(n), "match": best, "iou": matches.best_overlap, "same": same}
        for prefix, table, truth in (("", mine, of_truth), ("match_", _row(theirs, best), not of_truth)):
            absent = ~with_match if prefix else np.zeros(n, bool)
            for name in _OWN:
                frame[prefix + name] = _column(table, "ke_init" if truth and name == "ke" else name, absent)
            frame[f"{prefix}topology"] = np.where(absent, -1, _topology(table) if kind == "interactions" else -1)
        pair = (mine, _row(theirs, best)) if of_truth else (_row(theirs, best), mine)
        for name, values in _between(*pair).items():
            frame[name] = np.where(with_match, values, np.nan)
        reconstructed_table, absent = (pair[1], ~with_match) if of_truth else (mine, np.zeros(n, bool))
        for name in ("calo_ke", "csda_ke", "mcs_ke"):
            frame[name] = _column(reconstructed_table, name, absent)
        table = pd.DataFrame(frame)
        table["kind"] = pd.array([kind.removesuffix("s")] * n, dtype="str")
        table["side"] = pd.array([side] * n, dtype="str")
        integers = [column for column in table if str(column).removeprefix("match_") in _INTEGERS]
        return table.astype(dict.fromkeys(integers, "i8"))


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 [n], degrees between vectors [n, 3]; NaN where one is not known or has no length."""
    norm = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cross = np.linalg.norm(np.cross(first, second), axis=1)
    turned = np.degrees(np.arctan2(cross, (first * second).sum(1)))
    return np.where(norm > 0, turned, np.nan)


def _between(truth: np.ndarray, reco: np.ndarray) -> dict[str, np.ndarray]:
    """Distances and angles between true objects and reconstructed ones, row by row."""
    nothing = np.full(len(truth), np.nan)
    if "vertex_x" in (truth.dtype.names or ()):
        distance = np.linalg.norm(xyz(truth, "true_vertex") - xyz(reco, "vertex"), axis=1)
        return dict.fromkeys(("start_distance", "end_distance", "angle"), nothing) | {"vertex_distance": distance}
    track = (truth["shape"] == TRACK) & (reco["shape"] == TRACK)
    end = np.linalg.norm(xyz(truth, "true_end") - xyz(reco, "end"), axis=1)
    return {
        "start_distance": np.linalg.norm(xyz(truth, "true_start") - xyz(reco, "start"), axis=1),
        "end_distance": np.where(track, end, np.nan),
        "angle": angle(xyz(truth, "true_dir"), xyz(reco, "start_dir")),
        "vertex_distance": nothing,
    }


def _row(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of a table; what stands for row −1 is masked by the caller."""
    return table[np.maximum(rows, 0)] if len(table) else np.zeros(len(rows), table.dtype)


def _column(table: np.ndarray, name: str, absent: np.ndarray) -> np.ndarray:
    if name not in (table.dtype.names or ()):
        return np.full(len(table), -1 if name in _INTEGERS else np.nan)
    missing = np.nan if table.dtype[name].kind == "f" else -1
    return np.where(absent, missing, table[name])


def _topology(table: np.ndarray) -> np.ndarray:
    digits = [np.minimum(table[f"n_{name}"], 9).astype(np.int64) for name in PIDS.values()]
    return np.asarray(sum(digit * 10 ** (len(digits) - 1 - k) for k, digit in enumerate(digits)))


def _no_objects() -> pd.DataFrame:
    integers = [c for c in OBJECT_COLUMNS if c.removeprefix("match_") in _INTEGERS]
    kinds = dict.fromkeys(integers, "i8") | {"uid": "u8", "split": "str", "kind": "str", "side": "str", "same": "bool"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "f8")) for name in OBJECT_COLUMNS})
