"""Score tables of space points and key points, from a store of predictions joined with its truth; no torch.

Found and true key points of a kind are paired one to one, the nearest first (spec §8): a found one stands for one true
one. True ones of a kind that no wires can tell apart, such as the starts of two tracks at a vertex, count once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from weft.detector.wires import PLANES
from weft.engine.task import Store
from weft.errors import WeftError
from weft.io.deposits import arrived
from weft.io.larmatch_products import KEY_POINT_KINDS as KINDS
from weft.io.larmatch_products import KEY_POINTS
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET, UNKNOWN_TRIPLET
from weft.metrics.binned import quantile
from weft.metrics.points import Nearest, distinct, harmonic_mean, matched, nearest
from weft.metrics.scores import Scores
from weft.metrics.shares import share
from weft.reco.feed import processes_in
from weft.tasks.space_points.options import ModelOptions, Options
from weft.triplets.key_points import true_key_points, xyz
from weft.triplets.points import best_of_pixel
from weft.triplets.stored_truth import EventTruth, read_truth

#: Distances, cm, at which shares of found key points are quoted.
MARKS = (1, 3, 5, 10)
#: A key point without a true one of its kind, of its own, within so many cm is false; what is as near to a vertex is at
#: it.
FALSE = 5
#: Edges of the bins of distance, cm: bin k holds edges[k] < distance ≤ edges[k + 1], the first one 0 too.
EDGES = np.array(
    [*np.arange(10) / 10, *np.arange(4, 12) / 4, *np.arange(6, 10) / 2, *range(5, 10), 10, 12, 15, 20, 30, np.inf]
)
N_BINS = len(EDGES) - 1
#: cm: pairs are no farther apart.
_FARTHEST = float(EDGES[-2])
#: cm: true key points of one kind that are nearer to each other count once: about the pitch of wires and rows, whose
#: diagonal this is.
SAME = 0.5
TRUE, FOUND = "true", "found"
#: Triplets on their way to space points. No choice of the best of each pixel keeps more than `possible`.
STAGES: Mapping[str, str] = {
    "all": "all candidates",
    "possible": "one candidate of each pixel, of its good ones that with most electrons; all where none is chosen",
    "cut": "with a larmatch score of at least model.min_score",
    "kept": "space points, after the choice of the best of each pixel where there is one",
}
#: How the metrics of a stage end.
SUFFIXES = {"all": "_all", "possible": "_possible", "cut": "_cut", "kept": ""}

EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    "n_events": "1",
    **{f"good_<{name}>": f"good triplets; {text}" for name, text in STAGES.items()},
    **{f"ghost_<{name}>": f"ghosts; {text}" for name, text in STAGES.items()},
    **{f"unknown_<{name}>": f"triplets of unknown truth; {text}" for name, text in STAGES.items()},
    "electrons": "electrons that arrived where three wires could see them",
    "electrons_<stage>": "those in triplets, stage by stage",
    "true_<kind>": "true key points of a kind",
    "true_<kind>_<d>": "those with a found one of their kind within d cm",
    "true_any_<d>": "true key points with any found one within d cm",
    "found_<kind>": "found key points of a kind",
    "found_<kind>_<d>": "those with a true one of their kind within d cm",
    "found_any_<d>": "found key points with any true one within d cm",
    "vertex_<kind>": "found key points of a kind within 5 cm of a true neutrino vertex",
    "distance_<k>": "true key points whose partner among the found ones of their kind is in bin k of distance",
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "side": "true: a true key point and what was found near it; found: the other way round",
    "kind": "number of the kind",
    "x": "position [cm]",
    "y": "position [cm]",
    "z": "position [cm]",
    "distance": "to its partner, one of the other side and the same kind [cm]; infinite where it has none",
    "distance_any": "to its partner if kinds do not matter [cm]",
    "kind_any": "kind of that one; −1 where there is none",
    "score": "found: its score; true: NaN",
    "support": "found: triplets that agree; true: 0",
    "pdg": "true: PDG code of its particle; 0 of a vertex; found: 0",
    "energy_deposit": "true: energy that its particle left in the box [MeV]; NaN of a vertex; found: NaN",
}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "side": "true: of true key points; found: of found ones",
    "kind": "number of the kind",
    "bin": "number of the bin of distance to its partner; the last: it has none",
    "low": "lower edge of the bin [cm]",
    "high": "upper edge of the bin, which belongs to it [cm]",
    "n": "key points",
}
_OBJECT_TYPES = {"uid": "u8", "split": "str", "side": "str", "kind": "i1", "kind_any": "i1"}
_OBJECT_TYPES |= {"support": "i4", "pdg": "i4"}
_CURVE_TYPES = {"uid": "u8", "split": "str", "side": "str", "kind": "i1", "bin": "i2", "n": "i8"}


class _Points(NamedTuple):
    position: np.ndarray  # [n, 3] cm
    kind: np.ndarray  # int64 [n]
    table: pd.DataFrame  # what the other side has no say in


def score_shard(store: Store, split: str, shard: str, options: Options) -> Scores:
    """Score one shard.

    store: with `pixels`, `triplets` and `triplet_scores` as the stage was fed them, the truth that
    `data.labels` names, and prediction/{space_points, key_points}.
    Returns tables with the columns described in EVENT_COLUMNS, OBJECT_COLUMNS and CURVE_COLUMNS.
    Raises WeftError naming the shard where truth is missing, and the event where rows do not fit.
    """
    for name in options.data.labels.products:
        if f"truth/{name}" not in store:
            raise WeftError(f"shard {shard}: no product {name}: space points cannot be scored")
    if options.model.key_points is not None and options.data.labels.truth == "triplets":
        raise WeftError(
            f"shard {shard}: labels of triplets do not say where key points are: set model.key_points to null"
        )
    counts, objects, curves = [], [], []
    for i in range(len(store)):
        event = store.events[i]
        where = f"shard {shard}: event {event['run']}/{event['subrun']}/{event['event']}"
        truth = stored_truth(store, i, options)
        row = _cloud_counts(store, i, truth, options.model, where)
        if options.model.key_points is not None:
            found, table, bins = _key_point_counts(store, i, truth, options, where)
            row |= found
            objects.append(table.assign(uid=event["uid"], split=split))
            curves.append(bins.assign(uid=event["uid"], split=split))
        counts.append(row)
    events = pd.DataFrame({name: store.events[name] for name in ("run", "subrun", "event", "uid")})
    labels = pd.DataFrame({"split": split, "shard": shard}, index=events.index).astype("str")
    names = count_columns(options.model.key_points is not None)
    numbers = pd.DataFrame(counts, columns=names).astype({n: "f8" if "electrons" in n else "i8" for n in names})
    events = pd.concat([events, labels, numbers], axis=1)
    events.attrs = {"columns": dict(EVENT_COLUMNS)}
    return Scores(events, _typed(objects, OBJECT_COLUMNS, _OBJECT_TYPES), _typed(curves, CURVE_COLUMNS, _CURVE_TYPES))


def count_columns(key_points: bool) -> list[str]:
    """Names of the counts of an events table."""
    names = ["n_events", *(f"{state}_{stage}" for state in ("good", "ghost", "unknown") for stage in STAGES)]
    names += ["electrons", *(f"electrons_{stage}" for stage in STAGES)]
    if key_points:
        for side in (TRUE, FOUND):
            for kind in KINDS:
                names += [f"{side}_{kind}", *(f"{side}_{kind}_{mark}" for mark in MARKS)]
            names += [f"{side}_any_{mark}" for mark in MARKS]
        names += [*(f"vertex_{kind}" for kind in KINDS), *(f"distance_{k}" for k in range(N_BINS))]
    return names


def stored_truth(store: Store, i: int, options: Options) -> EventTruth:
    """What is true of event i, in the form that `data.labels` names."""
    pixels, triplets = np.asarray(store["pixels"][i]), np.asarray(store["triplets"][i])
    return read_truth(
        lambda name: np.asarray(store[f"truth/{name}"][i]), pixels, triplets, options.data.labels, processes_in(store)
    )


def _cloud_counts(store: Store, i: int, truth: EventTruth, model: ModelOptions, where: str) -> dict[str, float]:
    """Good triplets, ghosts and electrons on their way from all candidates to the space points."""
    true, deposits = truth.triplets, truth.deposits
    scores = store["triplet_scores"]
    said = np.asarray(scores[i])["larmatch"]
    stages = {
        "all": np.arange(len(true)),
        "possible": _possible(np.asarray(store["triplets"][i]), true, model.best_per_pixel),
        "cut": np.asarray(scores.index(i))[said >= np.float32(model.min_score)],
        "kept": np.asarray(store["prediction/space_points"][i])["triplet"],
    }
    row: dict[str, float] = {"n_events": 1}
    for stage, rows in stages.items():
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(true):
            raise WeftError(f"{where}: a space point is triplet {rows.max()}, but there are {len(true)}")
        states = true["good"][rows]
        for state, code in (("good", GOOD_TRIPLET), ("ghost", GHOST_TRIPLET), ("unknown", UNKNOWN_TRIPLET)):
            row[f"{state}_{stage}"] = int((states == code).sum())
        row[f"electrons_{stage}"] = float(true["electrons"][rows].sum(dtype=np.float64))
    row["electrons"] = float(arrived(deposits)["electrons"].sum(dtype=np.float64))
    return row


def _possible(triplets: np.ndarray, true: np.ndarray, plane: int | None) -> np.ndarray:
    """Rows of the triplets that a choice of the best of each pixel of a plane keeps that knows the truth; None: all."""
    if plane is None:
        return np.arange(len(triplets))
    members = np.stack([triplets[f"pixel_{p}"] for p in range(PLANES)], axis=1)
    merit = np.choose(true["good"].astype(np.int64) + 1, [0.5, 0.0, 1.0])  # unknown, ghost, good
    merit += np.where(true["good"] == GOOD_TRIPLET, true["electrons"], 0)
    return best_of_pixel(members, merit, plane)


def _key_point_counts(
    store: Store, i: int, truth: EventTruth, options: Options, where: str
) -> tuple[dict[str, float], pd.DataFrame, pd.DataFrame]:
    true = _true_points(stored_key_points(store, truth, options), truth.particles)
    found = _found_points(np.asarray(store["prediction/key_points"][i]), where)
    own = dict(zip((TRUE, FOUND), _paired(true, found, true.kind, found.kind), strict=True))
    nothing = np.zeros(len(true.kind), np.int64), np.zeros(len(found.kind), np.int64)
    any_kind = dict(zip((TRUE, FOUND), _paired(true, found, *nothing), strict=True))
    sides = {TRUE: (true, found), FOUND: (found, true)}
    row: dict[str, float] = {}
    tables, bins = [], []
    for side, (points, others) in sides.items():
        near, anyone = own[side], any_kind[side]
        for kind, name in enumerate(KINDS):
            distance = near.distance[points.kind == kind]
            row[f"{side}_{name}"] = len(distance)
            row |= {f"{side}_{name}_{mark}": int((distance <= mark).sum()) for mark in MARKS}
        row |= {f"{side}_any_{mark}": int((anyone.distance <= mark).sum()) for mark in MARKS}
        kind_any = np.append(others.kind, -1)[anyone.row]
        tables.append(
            points.table.assign(side=side, distance=near.distance, distance_any=anyone.distance, kind_any=kind_any)
        )
        bins.append(_binned(side, points.kind, near.distance))
        if side == TRUE:
            histogram = np.bincount(_bin_of(near.distance), minlength=N_BINS)
            row |= {f"distance_{k}": int(n) for k, n in enumerate(histogram)}
    to_vertex = nearest(found.position, true.position[true.kind == KINDS.index("nu_vertex")]).distance
    at_vertex = np.bincount(found.kind[to_vertex <= FALSE], minlength=len(KINDS))
    row |= {f"vertex_{kind}": int(n) for kind, n in zip(KINDS, at_vertex, strict=True)}
    return row, pd.concat(tables, ignore_index=True), pd.concat(bins, ignore_index=True)


def _paired(true: _Points, found: _Points, kinds: np.ndarray, found_kinds: np.ndarray) -> tuple[Nearest, Nearest]:
    return matched(true.position, found.position, kinds, found_kinds, _FARTHEST)


def stored_key_points(store: Store, truth: EventTruth, options: Options) -> np.ndarray:
    """`TRUE_KEY_POINTS` of an event of which this is true."""
    return true_key_points(truth.particles, truth.deposits, options.data.labels, processes_in(store))


def _true_points(points: np.ndarray, particles: np.ndarray) -> _Points:
    owner = points["particle"]
    of_one = owner >= 0
    pdg, energy = np.zeros(len(points), np.int32), np.full(len(points), np.nan)
    pdg[of_one] = particles["pdg"][owner[of_one]]
    energy[of_one] = particles["energy_deposit"][owner[of_one]]
    table = pd.DataFrame({"score": np.nan, "support": 0, "pdg": pdg, "energy_deposit": energy})
    # Of those in one place the one of the particle with the most energy stands.
    order = np.argsort(-np.nan_to_num(energy), kind="stable")
    rows = np.sort(order[distinct(xyz(points[order]), points["kind"][order], SAME)])
    return _points(points[rows], dict(table.iloc[rows].reset_index(drop=True)))


def _found_points(points: np.ndarray, where: str) -> _Points:
    if not np.isin(points["kind"], range(len(KINDS))).all() or not np.isfinite(xyz(points)).all():
        raise WeftError(f"{where}: {KEY_POINTS.name} of an unknown kind or at a position that is not finite")
    columns = {"score": points["score"], "support": points["support"], "pdg": 0, "energy_deposit": np.nan}
    return _points(points, columns)


def _points(points: np.ndarray, columns: Mapping[str, object]) -> _Points:
    position = xyz(points)
    table = {"kind": points["kind"], **dict(zip("xyz", position.T, strict=True)), **columns}
    return _Points(position, points["kind"].astype(np.int64), pd.DataFrame(table))


def _bin_of(distance: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(EDGES, distance, side="left") - 1, 0, N_BINS - 1).astype(np.int64)


def _binned(side: str, kind: np.ndarray, distance: np.ndarray) -> pd.DataFrame:
    keys, n = np.unique(kind * N_BINS + _bin_of(distance), return_counts=True)
    number = keys % N_BINS
    columns = {"side": side, "kind": keys // N_BINS, "bin": number, "low": EDGES[number], "high": EDGES[number + 1]}
    return pd.DataFrame(columns | {"n": n})


def _typed(frames: list[pd.DataFrame], columns: Mapping[str, str], types: Mapping[str, str]) -> pd.DataFrame:
    kept = [frame for frame in frames if len(frame)]
    table = pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=list(columns))
    table = table[list(columns)].astype({name: types.get(name, "f8") for name in columns})
    table.attrs = {"columns": dict(columns)}
    return table


# ------------------------------------------------------------------------------------------------------- metrics


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; NaN where undefined.

    point_efficiency: good triplets that are space points, of all good candidates; point_purity: good ones among space
    points; ghost_rejection: ghosts that are none, of all; electron_completeness: electrons at space points, of all
    that arrived; the same with `_cut` before the choice of the best of each pixel, with `_possible` where that knew the
    truth, and with `_all` of all candidates.
    efficiency_within_<d>cm: true key points with a found one of their kind, of their own, so near; purity_within_<d>cm:
    found ones with a true one; false_rate: found ones without a true one of their kind within 5 cm; f1_within_3cm; the
    same whatever the kind (any_); per kind at 3 cm, false rates at 5; median_distance of the true ones that were found
    within 10 cm; found_per_event, false_per_event; at_vertex: found key points within 5 cm of a true vertex, for each.
    """

    def column(name: str) -> np.ndarray:
        return counts[name].to_numpy(np.float64)

    values: dict[str, np.ndarray] = {}
    for stage, suffix in SUFFIXES.items():
        values[f"point_efficiency{suffix}"] = share(column(f"good_{stage}"), column("good_all"))
        values[f"point_purity{suffix}"] = _purity(counts, stage)
        values[f"ghost_rejection{suffix}"] = 1 - share(column(f"ghost_{stage}"), column("ghost_all"))
        values[f"electron_completeness{suffix}"] = share(column(f"electrons_{stage}"), column("electrons"))
    points = sum(column(f"{state}_kept") for state in ("good", "ghost", "unknown"))
    values["points_per_event"] = share(np.asarray(points), column("n_events"))
    if f"true_{KINDS[0]}" in counts:
        values |= _key_point_metrics(counts)
    return pd.DataFrame(values, index=counts.index)


def _key_point_metrics(counts: pd.DataFrame) -> dict[str, np.ndarray]:
    def column(name: str) -> np.ndarray:
        return counts[name].to_numpy(np.float64)

    def total(side: str, suffix: str = "") -> np.ndarray:
        return counts[[f"{side}_{kind}{suffix}" for kind in KINDS]].to_numpy(np.float64).sum(axis=1)

    values: dict[str, np.ndarray] = {}
    for mark in MARKS:
        values[f"efficiency_within_{mark}cm"] = share(total(TRUE, f"_{mark}"), total(TRUE))
        values[f"purity_within_{mark}cm"] = share(total(FOUND, f"_{mark}"), total(FOUND))
        values[f"any_efficiency_within_{mark}cm"] = share(column(f"true_any_{mark}"), total(TRUE))
        values[f"any_purity_within_{mark}cm"] = share(column(f"found_any_{mark}"), total(FOUND))
    # Where nothing was found though there was something: 0, though the purity alone is not defined.
    purity = np.where((total(FOUND) == 0) & (total(TRUE) > 0), 0.0, values["purity_within_3cm"])
    values["f1_within_3cm"] = harmonic_mean(values["efficiency_within_3cm"], purity)
    values["false_rate"] = 1 - values[f"purity_within_{FALSE}cm"]
    histogram = counts[[f"distance_{k}" for k in range(N_BINS)]].to_numpy(np.float64)
    near = EDGES[1:] <= MARKS[-1]
    values["median_distance"] = quantile(histogram[:, near], EDGES[: near.sum() + 1], 0.5)
    values["found_per_event"] = share(total(FOUND), column("n_events"))
    values["false_per_event"] = share(total(FOUND) - total(FOUND, f"_{FALSE}"), column("n_events"))
    vertices = column("true_nu_vertex")
    values["at_vertex"] = share(sum(column(f"vertex_{kind}") for kind in KINDS), vertices)
    for kind in KINDS:
        values[f"efficiency_within_3cm_{kind}"] = share(column(f"true_{kind}_3"), column(f"true_{kind}"))
        values[f"false_rate_{kind}"] = 1 - share(column(f"found_{kind}_{FALSE}"), column(f"found_{kind}"))
    return values


def _purity(counts: pd.DataFrame, stage: str) -> np.ndarray:
    good, ghost = (counts[f"{state}_{stage}"].to_numpy(np.float64) for state in ("good", "ghost"))
    return share(good, good + ghost)
