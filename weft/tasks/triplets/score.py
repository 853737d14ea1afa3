"""Score tables of triplets: how much of the truth has a candidate, and how many candidates are none.

A *cell* is where a row and three wires meet; a true cell is one where enough electrons arrived to be seen
(`labels.min_electrons`). Only a true cell that is a candidate can become a space point, so the share of those, and of
the electrons, is what no later stage can exceed (specs/larmatch.md §8). Electrons and energy are counted in all cells.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from weft.engine.task import Store
from weft.errors import WeftError
from weft.io.deposits import CELL, arrived
from weft.io.wire_products import GOOD_TRIPLET, UNKNOWN_TRIPLET
from weft.metrics.binned import bin_of
from weft.metrics.scores import Scores
from weft.triplets.truth import cell_keys, label_triplets

DEPOSITS = "wire_deposits"

#: What the three wires of a true cell saw of it; the last that fits.
STATES: Mapping[str, str] = {
    "live": "three pixels above threshold",
    "one_dead": "one dead wire, two pixels above threshold",
    "below": "a wire that works, but whose pixel is below threshold",
    "more_dead": "two or three dead wires",
}
#: Edges of the bins of live pixels in a row, all planes together.
OCCUPANCY_EDGES = np.concatenate([np.arange(1, 10), np.geomspace(10, 2000, 17)]).astype(np.float64)

_COUNTS: Mapping[str, str] = {
    "n_pixels": "pixels above threshold",
    "n_dead_pixels": "pixels of dead wires that triplets need",
    "n_triplets": "triplets",
    "n_triplets_dead": "those with a dead wire",
    "n_good": "triplets that are true cells",
    "n_good_dead": "those with a dead wire",
    "n_unknown": "triplets where some electrons arrived, too few for a true cell",
    "n_unknown_dead": "those with a dead wire",
    "n_found": "triplets that the search found, before a cap per row",
    "n_rows": "rows with pixels",
    "n_capped": "rows in which a cap left triplets out",
}
EVENT_COLUMNS: Mapping[str, str] = {
    "run": "run number",
    "subrun": "subrun number",
    "event": "event number",
    "uid": "unique id of the event",
    "split": "name of the split",
    "shard": "name of the shard",
    **_COUNTS,
    **{f"cells_{state}": f"true cells with {text}" for state, text in STATES.items()},
    **{f"found_{state}": f"of these, candidates ({state})" for state in STATES},
    **{f"electrons_{state}": f"electrons in cells with {text}" for state, text in STATES.items()},
    **{f"found_electrons_{state}": f"of these, in candidates ({state})" for state in STATES},
    **{f"energy_{state}": f"energy deposited in such cells with {text} [MeV]" for state, text in STATES.items()},
    **{f"found_energy_{state}": f"of this, in candidates ({state}) [MeV]" for state in STATES},
}
OBJECT_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "particle": "row of the particle in the event's `particles`; one that reached no wire has no row here",
    "class": "semantic class of the particle",
    "energy": "energy that it left where three wires saw it or could have [MeV]",
    "n_cells": "true cells that it has a part in",
    "n_found": "those that are candidates",
}
CURVE_COLUMNS: Mapping[str, str] = {
    "uid": "unique id of the event",
    "split": "name of the split",
    "curve": "occupancy: bins of the live pixels of a row, all planes together",
    "bin": "number of the bin",
    "low": "lower edge of the bin",
    "high": "upper edge of the bin",
    "n_rows": "rows",
    "n_pixels": "live pixels of these rows",
    "n_triplets": "triplets of these rows",
    "n_known": "those whose truth is known",
    "n_good": "those that are true cells",
}


def score_shard(store: Store, split: str, shard: str, min_electrons: float) -> Scores:
    """Score one shard.

    store: opened with {"truth": path, "prediction": path}. Reads truth/wire_deposits and prediction/{pixels,
    dead_wires, triplets, triplet_rows}. min_electrons: what makes a cell a true one.
    Returns tables with the columns described in EVENT_COLUMNS, OBJECT_COLUMNS and CURVE_COLUMNS.
    """
    if f"truth/{DEPOSITS}" not in store:
        raise WeftError(f"shard {shard}: no product {DEPOSITS}: without true deposits triplets cannot be scored")
    rows, objects, curves = [], [], []
    for i in range(len(store)):
        deposits = store[f"truth/{DEPOSITS}"][i]
        predicted = {name: store[f"prediction/{name}"][i] for name in ("pixels", "dead_wires", "triplets")}
        found = store["prediction/triplet_rows"][i]
        counts, particles, occupancy = score_event(deposits, **predicted, rows=found, min_electrons=min_electrons)
        uid = store.events["uid"][i]
        rows.append(counts)
        objects.append(particles.assign(uid=uid))
        curves.append(occupancy.assign(uid=uid))
    events = pd.DataFrame({name: store.events[name] for name in ("run", "subrun", "event", "uid")})
    events["split"] = pd.array([split] * len(store), dtype="str")
    events["shard"] = pd.array([shard] * len(store), dtype="str")
    for name in list(EVENT_COLUMNS)[6:]:
        kind = np.float64 if "energy" in name or "electrons" in name else np.int64
        events[name] = np.array([counts[name] for counts in rows], kind)
    tables = []
    for frames, columns in ((objects, OBJECT_COLUMNS), (curves, CURVE_COLUMNS)):
        table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(columns)[2:])
        table["uid"] = table["uid"].astype("u8") if frames else np.zeros(0, np.uint64)
        table["split"] = pd.array([split] * len(table), dtype="str")
        tables.append(table[list(columns)])
    objects_table, curves_table = tables
    integers = ("particle", "class", "n_cells", "n_found")
    objects_table = objects_table.astype(dict.fromkeys(integers, "i8") | {"energy": "f8"})
    curves_table = curves_table.astype(
        {"curve": "str", "bin": "i2", "low": "f8", "high": "f8"} | dict.fromkeys(list(CURVE_COLUMNS)[6:], "i8")
    )
    for table, meaning in ((events, EVENT_COLUMNS), (objects_table, OBJECT_COLUMNS), (curves_table, CURVE_COLUMNS)):
        table.attrs = {"columns": dict(meaning)}
    return Scores(events, objects_table, curves_table)


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; NaN where undefined.

    electron_efficiency, energy_efficiency: share of the electrons and of the energy that is in candidates; efficiency:
    share of the true cells that are candidates, and for two states of their wires; ghost_share: share of the candidates
    that are no true cell, of those whose truth is known, with and without a dead wire; unknown_share: of those whose is
    not;
    dead_share: share of them with a dead wire; per_pixel: candidates per live pixel; lost_dead, lost_below: shares of
    the true cells that are no candidates because two wires are dead, or one saw too little; capped_rows: share of the
    rows in which a cap left something out; dropped: share of the found triplets that it left out.
    """

    def total(prefix: str) -> pd.Series:
        return counts[[f"{prefix}_{state}" for state in STATES]].sum(axis=1)

    def lost(state: str) -> pd.Series:
        return _share(counts[f"cells_{state}"] - counts[f"found_{state}"], cells)

    cells = total("cells")
    known, dead = counts["n_triplets"] - counts["n_unknown"], counts["n_triplets_dead"] - counts["n_unknown_dead"]
    return pd.DataFrame(
        {
            "electron_efficiency": _share(total("found_electrons"), total("electrons")),
            "efficiency": _share(total("found"), cells),
            "energy_efficiency": _share(total("found_energy"), total("energy")),
            "efficiency_live": _share(counts["found_live"], counts["cells_live"]),
            "efficiency_one_dead": _share(counts["found_one_dead"], counts["cells_one_dead"]),
            "lost_dead": lost("more_dead"),
            "lost_below": lost("below"),
            "ghost_share": 1 - _share(counts["n_good"], known),
            "ghost_share_live": 1 - _share(counts["n_good"] - counts["n_good_dead"], known - dead),
            "ghost_share_dead": 1 - _share(counts["n_good_dead"], dead),
            "unknown_share": _share(counts["n_unknown"], counts["n_triplets"]),
            "dead_share": _share(counts["n_triplets_dead"], counts["n_triplets"]),
            "per_pixel": _share(counts["n_triplets"], counts["n_pixels"]),
            "capped_rows": _share(counts["n_capped"], counts["n_rows"]),
            "dropped": _share(counts["n_found"] - counts["n_triplets"], counts["n_found"]),
        },
        index=counts.index,
    )


def score_event(
    deposits: np.ndarray,
    pixels: np.ndarray,
    dead_wires: np.ndarray,
    triplets: np.ndarray,
    rows: np.ndarray,
    min_electrons: float,
) -> tuple[dict[str, float], pd.DataFrame, pd.DataFrame]:
    """Counts, particles and occupancy of one event; `deposits` as `WIRE_DEPOSITS`, the others as predicted."""
    deposits = arrived(deposits)
    live = pixels["dead"] == 0
    members = [triplets[f"pixel_{p}"] for p in range(3)]
    through_dead = ~(live[members[0]] & live[members[1]] & live[members[2]])
    truth = label_triplets(pixels, triplets, deposits, min_electrons)["good"]
    good, unknown = truth == GOOD_TRIPLET, truth == UNKNOWN_TRIPLET

    counts: dict[str, float] = {
        "n_pixels": int(live.sum()),
        "n_dead_pixels": int((~live).sum()),
        "n_triplets": len(triplets),
        "n_triplets_dead": int(through_dead.sum()),
        "n_good": int(good.sum()),
        "n_good_dead": int((good & through_dead).sum()),
        "n_unknown": int(unknown.sum()),
        "n_unknown_dead": int((unknown & through_dead).sum()),
        "n_found": int(rows["found"].sum()),
        "n_rows": len(rows),
        "n_capped": int((rows["found"] > rows["kept"]).sum()),
    }
    state, found = _state(deposits, pixels[live], dead_wires), _is_candidate(deposits, pixels, triplets)
    key, _ = cell_keys([deposits[name] for name in CELL], [deposits[name][:0] for name in CELL])
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    true = np.bincount(cell, deposits["electrons"].astype(np.float64))[cell] >= min_electrons
    first = first[true[first]]
    for k, name in enumerate(STATES):
        here = state == k
        counts[f"cells_{name}"] = int(here[first].sum())
        counts[f"found_{name}"] = int((here & found)[first].sum())
        for what in ("electrons", "energy"):
            amount = deposits[what].astype(np.float64)
            counts[f"{what}_{name}"] = float(amount[here].sum())
            counts[f"found_{what}_{name}"] = float(amount[here & found].sum())
    return counts, _particles(deposits, true, found), _occupancy(pixels, triplets, good, unknown, rows)


def _state(deposits: np.ndarray, live: np.ndarray, dead_wires: np.ndarray) -> np.ndarray:
    """int64 (deposits,): number of the state of each one's cell."""
    seen, dead = np.zeros((2, len(deposits)), np.int64)
    for p in range(3):
        wire = deposits[f"wire_{p}"]
        mine = live[live["plane"] == p]
        is_seen = _among([deposits["tpc"], deposits["row"], wire], [mine["tpc"], mine["row"], mine["wire"]])
        out = dead_wires[dead_wires["plane"] == p]
        # A pixel above threshold counts as live even on a wire that is said to be dead, as in the search.
        dead += ~is_seen & _among([deposits["tpc"], wire], [out["tpc"], out["wire"]])
        seen += is_seen
    order = list(STATES)
    state = np.full(len(deposits), order.index("below"))
    state[seen == 3] = order.index("live")
    state[(seen == 2) & (dead == 1)] = order.index("one_dead")
    state[dead >= 2] = order.index("more_dead")
    return state


def _is_candidate(deposits: np.ndarray, pixels: np.ndarray, triplets: np.ndarray) -> np.ndarray:
    """bool (deposits,): whether a triplet stands for the cell."""
    members = [triplets[f"pixel_{p}"] for p in range(3)]
    candidates = [pixels["tpc"][members[0]], pixels["row"][members[0]], *(pixels["wire"][m] for m in members)]
    return _among([deposits[name] for name in CELL], candidates)


def _among(ours: list[np.ndarray], theirs: list[np.ndarray]) -> np.ndarray:
    """bool: which of our tuples are among theirs."""
    return np.isin(*cell_keys(ours, theirs))


def _particles(deposits: np.ndarray, true: np.ndarray, found: np.ndarray) -> pd.DataFrame:
    """A row per particle; a deposit is what one particle left in one cell.

    true, found: bool (deposits,), whether the cell is a true one, and whether it is a candidate.
    """
    particle, first, row = np.unique(deposits["particle"], return_index=True, return_inverse=True)
    return pd.DataFrame(
        {
            "particle": particle,
            "class": deposits["class"][first],
            "energy": np.bincount(row, deposits["energy"], len(particle)),
            "n_cells": np.bincount(row[true], minlength=len(particle)),
            "n_found": np.bincount(row[true & found], minlength=len(particle)),
        }
    )


def _occupancy(
    pixels: np.ndarray, triplets: np.ndarray, good: np.ndarray, unknown: np.ndarray, rows: np.ndarray
) -> pd.DataFrame:
    """Triplets by the number of live pixels of their row; a row per bin that is not empty."""
    n_bins = len(OCCUPANCY_EDGES) - 1
    live = sum(rows[f"live_{p}"].astype(np.int64) for p in range(3))
    number = bin_of(live, OCCUPANCY_EDGES)
    first = pixels[triplets["pixel_0"]]
    # Both are sorted by volume and row.
    key, known = cell_keys([first["tpc"], first["row"]], [rows["tpc"], rows["row"]])
    of_row = np.searchsorted(known, key)
    n_good = np.bincount(of_row[good], minlength=len(rows))
    n_known = np.bincount(of_row[~unknown], minlength=len(rows))
    columns = {
        "n_rows": np.bincount(number, minlength=n_bins),
        "n_pixels": np.bincount(number, live, n_bins).astype(np.int64),
        "n_triplets": np.bincount(number, rows["kept"], n_bins).astype(np.int64),
        "n_known": np.bincount(number, n_known, n_bins).astype(np.int64),
        "n_good": np.bincount(number, n_good, n_bins).astype(np.int64),
    }
    seen = np.flatnonzero(columns["n_rows"])
    frame = pd.DataFrame({name: column[seen] for name, column in columns.items()})
    return frame.assign(curve="occupancy", bin=seen, low=OCCUPANCY_EDGES[seen], high=OCCUPANCY_EDGES[seen + 1])


def _share(part: pd.Series, whole: pd.Series) -> pd.Series:
    return part / whole.where(whole > 0)
