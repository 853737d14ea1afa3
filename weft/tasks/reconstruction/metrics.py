"""Counts of the reconstruction's score, and the metrics that are made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from weft.errors import WeftError
from weft.io.reco_products import PIDS
from weft.metrics.binned import half_width, quantile

#: cm; bins of the distance between the true and the reconstructed vertex.
VERTEX_EDGES = np.concatenate([[0], 10 ** np.arange(-1, 2.01, 0.1), [np.inf]])
#: Degrees; bins of the angle between the true and the reconstructed direction.
ANGLE_EDGES = np.concatenate([[0], np.geomspace(0.5, 180, 31)])
#: Bins of (reconstructed − true)/true kinetic energy.
RESIDUAL_EDGES = np.concatenate(
    [np.arange(-10, -5) / 10, np.arange(-20, 20) / 40, np.arange(5, 11) / 10, [np.inf]]
)  # fmt: skip

#: What is counted in bins: name, edges, meaning.
BINNED: Mapping[str, tuple[np.ndarray, str]] = {
    "vertex": (VERTEX_EDGES, "found interactions by distance of the vertex [cm]"),
    "shower_angle": (ANGLE_EDGES, "found primary showers by angle of the direction [degrees]"),
    "track_angle": (ANGLE_EDGES, "found primary tracks by angle of the direction [degrees]"),
    "shower_energy": (RESIDUAL_EDGES, "found contained showers by relative error of ke"),
    "track_energy": (RESIDUAL_EDGES, "found tracks by relative error of ke"),
    "csda_energy": (RESIDUAL_EDGES, "found contained tracks by relative error of csda_ke"),
    "mcs_energy": (RESIDUAL_EDGES, "found tracks by relative error of mcs_ke"),
    "calo_energy": (RESIDUAL_EDGES, "found contained tracks by relative error of calo_ke"),
}
#: Types of the confusion: those of particles, and none.
TYPES = len(PIDS) + 1

SINGLE: Mapping[str, str] = {
    "n_true_particles": "true particles",
    "n_reco_particles": "reconstructed particles",
    "n_found_particles": "true particles that are found: best matches of each other, IoU at least 0.5",
    "n_true_primaries": "true primary particles",
    "n_reco_primaries": "reconstructed primary particles whose match has a known origin, or that have none",
    "n_right_primaries": "found true primaries that are reconstructed as such",
    "n_true_interactions": "true interactions",
    "n_reco_interactions": "reconstructed interactions",
    "n_found_interactions": "true interactions that are found: best matches of each other, IoU at least 0.5",
    "n_vertices": "true interactions whose vertex lies in the box",
    "n_vertices_within_3cm": "those of them that are found, with a vertex within 3 cm of the true one",
    "n_true_topologies": "found interactions",
    "n_right_topologies": "found interactions with the true numbers of primaries of all types",
}


def bins_of(name: str) -> list[str]:
    """Names of the columns of something that is counted in bins."""
    return [f"n_{name}_{k:02d}" for k in range(len(BINNED[name][0]) - 1)]


def confusion_columns() -> list[str]:
    """Found particles of a known type by true type and reconstructed type, row by row; the last one is none."""
    return [f"n_pid_{i}{j}" for i in range(TYPES) for j in range(TYPES)]


def count_columns() -> list[str]:
    return [*SINGLE, *confusion_columns(), *(column for name in BINNED for column in bins_of(name))]


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of counts; NaN where undefined.

    Efficiency and purity of particles, interactions and primaries; accuracy of types; share of vertices within 3 cm;
    median and 68 % quantile of distances and angles; bias (median) and resolution (half of the central 68 %) of
    kinetic energies.
    """
    missing = [name for name in count_columns() if name not in counts]
    if missing:
        raise WeftError(f"the events table has no column {missing[0]}: not the scores of a reconstruction")

    def ratio(of: str, to: str) -> np.ndarray:
        n, total = counts[of].to_numpy(np.float64), counts[to].to_numpy(np.float64)
        return np.divide(n, total, out=np.full(len(n), np.nan), where=total > 0)

    values: dict[str, np.ndarray] = {}
    for name in ("particles", "interactions"):
        single = name.removesuffix("s")
        values[f"{single}_efficiency"] = ratio(f"n_found_{name}", f"n_true_{name}")
        values[f"{single}_purity"] = ratio(f"n_found_{name}", f"n_reco_{name}")
    values["primary_efficiency"] = ratio("n_right_primaries", "n_true_primaries")
    values["primary_purity"] = ratio("n_right_primaries", "n_reco_primaries")
    confusion = counts[confusion_columns()].to_numpy(np.float64).reshape(-1, TYPES, TYPES)
    total, right = confusion.sum((1, 2)), np.trace(confusion, axis1=1, axis2=2)
    values["pid_accuracy"] = np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)
    for pid, name in PIDS.items():
        of = confusion[:, pid].sum(1)
        values[f"pid_recall_{name}"] = np.divide(confusion[:, pid, pid], of, out=np.full(len(of), np.nan), where=of > 0)
    values["topology_accuracy"] = ratio("n_right_topologies", "n_true_topologies")
    values["vertex_within_3cm"] = ratio("n_vertices_within_3cm", "n_vertices")
    for name, (edges, _) in BINNED.items():
        table = counts[bins_of(name)].to_numpy(np.float64)
        if edges is RESIDUAL_EDGES:
            values[f"{name}_bias"] = quantile(table, edges, 0.5)
            values[f"{name}_resolution"] = half_width(table, edges)
        else:
            unit = "cm" if edges is VERTEX_EDGES else "degrees"
            values[f"{name}_median_{unit}"] = quantile(table, edges, 0.5)
            values[f"{name}_68_{unit}"] = quantile(table, edges, 0.68)
    return pd.DataFrame(values, index=counts.index)
