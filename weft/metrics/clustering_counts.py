"""What of a clustering adds up over events, and the metrics of such sums.

An event has counts with the suffix ``_all``, and others of the same names, such as ``_shower``, for the voxels of one
class. Means over events, over clusters and over voxels are all a sum and a number, so pooled metrics and bootstraps
come from sums of these counts alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from weft.errors import WeftError
from weft.metrics.clustering import Contingency

#: The mark of SPICE's paper: the share of the events whose ARI lies above it (arXiv:2007.03083).
GOOD_ARI = 0.92
#: Suffix of the counts of all judged voxels together.
ALL = "all"

COUNTS: Mapping[str, str] = {
    "judged": "1 where there are judged voxels, else 0: events that have an SBD, efficiencies",
    "answered": "1 where some of them are in a predicted cluster: events that have purities",
    "paired": "1 where there are two judged voxels or more: events that have an ARI and an AMI",
    "ari": "adjusted Rand index, 0 where it is not defined",
    "ami": "adjusted mutual information, 0 where it is not defined",
    "sbd": "symmetric best Dice, 0 where it is not defined",
    "good": f"1 where the ARI is above {GOOD_ARI}",
    "mean_purity": "mean purity of the event's predicted clusters, 0 where there are none",
    "mean_efficiency": "mean efficiency of the event's true clusters, 0 where there are none",
    "predicted": "predicted clusters with judged voxels",
    "purity": "sum of their purities",
    "true": "true clusters",
    "efficiency": "sum of their efficiencies",
    "assigned": "judged voxels in predicted clusters",
    "pure": "those of them from the true cluster that their predicted one has most of",
    "voxels": "judged voxels",
    "found": "those of them in the predicted cluster that has most of their true one",
}
#: Metrics as (sum, number) of counts.
METRICS: Mapping[str, tuple[str, str]] = {
    "ari": ("ari", "paired"),
    "ami": ("ami", "paired"),
    "sbd": ("sbd", "judged"),
    "ari_above_092": ("good", "paired"),
    "purity": ("purity", "predicted"),
    "efficiency": ("efficiency", "true"),
    "voxel_purity": ("pure", "assigned"),
    "voxel_efficiency": ("found", "voxels"),
    "event_purity": ("mean_purity", "answered"),
    "event_efficiency": ("mean_efficiency", "judged"),
}


def clustering_counts(table: Contingency, suffix: str = ALL) -> dict[str, float]:
    """The counts of one event, by name with the suffix: :data:`COUNTS`."""
    n = table.n_voxels
    if not n:
        return dict.fromkeys((f"{name}_{suffix}" for name in COUNTS), 0.0)
    assigned = table.n_assigned
    ari, ami = (table.ari, table.ami) if n > 1 else (0.0, 0.0)
    values = {
        "judged": 1.0,
        "answered": assigned > 0,
        "paired": n > 1,
        "ari": ari,
        "ami": ami,
        "sbd": table.sbd,
        "good": ari > GOOD_ARI,
        "mean_purity": table.purity() if assigned else 0.0,
        "mean_efficiency": table.efficiency(),
        "predicted": len(table.prediction_sizes),
        "purity": table.purities.sum(),
        "true": len(table.truth_sizes),
        "efficiency": table.efficiencies.sum(),
        "assigned": assigned,
        "pure": table.pure,
        "voxels": n,
        "found": table.found,
    }
    return {f"{name}_{suffix}": float(values[name]) for name in COUNTS}


def suffixes_of(counts: pd.DataFrame) -> list[str]:
    """What an events table has counts of: "all", then the classes in its order."""
    found = [str(name).removeprefix("judged_") for name in counts if str(name).startswith("judged_")]
    if ALL not in found:
        raise WeftError(f"the events table has no column judged_{ALL}: not the scores of a clustering")
    return found


def count_columns(counts: pd.DataFrame) -> list[str]:
    """The columns of an events table that :func:`metrics` reads; it may have others."""
    return [f"{name}_{suffix}" for suffix in suffixes_of(counts) for name in COUNTS]


def metrics(counts: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each row of an events table, or of rows of it added up; NaN where undefined.

    For all judged voxels, with M the mean over events of what each has, C over clusters and V over voxels:
    `ari` M, `ami` M, `sbd` M, `ari_above_092` (share of the events), `purity` C, `efficiency` C, `voxel_purity` V,
    `voxel_efficiency` V, `event_purity` and `event_efficiency` (M of the event's C); for each class that has counts the
    same with its name behind, such as `ari_shower`. Other columns, a task's own counts, are left alone.
    """
    values = {}
    for suffix in suffixes_of(counts):
        for name, (total, number) in METRICS.items():
            above, below = (counts[f"{c}_{suffix}"].to_numpy(np.float64) for c in (total, number))
            key = name if suffix == ALL else f"{name}_{suffix}"
            values[key] = np.divide(above, below, out=np.full(len(counts), np.nan), where=below > 0)
    return pd.DataFrame(values, index=counts.index)
