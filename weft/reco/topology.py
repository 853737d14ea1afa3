"""What an interaction is made of: its primary particles with enough energy to be counted (spec §1.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from weft.io.reco_products import ELECTRON, KAON, MUON, PHOTON, PIDS, PION, PROTON

#: MeV of kinetic energy that a particle needs to count.
THRESHOLDS = {PHOTON: 25.0, ELECTRON: 25.0, MUON: 25.0, PION: 25.0, PROTON: 50.0, KAON: 25.0}
TAGS = {PHOTON: "g", ELECTRON: "e", MUON: "mu", PION: "pi", PROTON: "p", KAON: "ka"}


def counts_in_topology(
    pid: np.ndarray, kinetic: np.ndarray, thresholds: Mapping[int, float] = THRESHOLDS
) -> np.ndarray:
    """bool [n]: particles of a known type with at least the kinetic energy (MeV) of its threshold (default 0)."""
    least = np.array([thresholds.get(p, 0.0) for p in sorted(PIDS)] + [np.inf])
    return np.asarray(kinetic, np.float64) >= least[np.asarray(pid, np.int64)]


def count_types(group: np.ndarray, pid: np.ndarray, groups: int) -> np.ndarray:
    """int64 [groups, 6]: particles of each type in each group; group, pid: [n], rows with −1 in either are left out."""
    group, pid = np.asarray(group, np.int64), np.asarray(pid, np.int64)
    kept = (group >= 0) & (pid >= 0)
    keys = group[kept] * len(PIDS) + pid[kept]
    return np.bincount(keys, minlength=groups * len(PIDS)).reshape(groups, len(PIDS))


def topology(counts: Sequence[int] | np.ndarray) -> str:
    """Numbers of particles by type [6] as a string, such as `1mu2p`; empty where there is none."""
    return "".join(f"{int(n)}{TAGS[pid]}" for pid, n in zip(sorted(PIDS), counts, strict=True) if n)
