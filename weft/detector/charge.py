"""From deposited energy to the charge that reaches the anode: recombination, loss to impurities, diffusion."""

from __future__ import annotations

from typing import Literal

import numpy as np

#: Liquid argon at 87 K, g/cm³ (specs/anchors.md §5.3).
DENSITY = 1.396

Recombination = Literal["modified_box", "birks"]


def modified_box(dedx: np.ndarray, alpha: float, beta: float, field: float) -> np.ndarray:
    """Share of electrons that escape recombination, ln(α + ξ)/ξ with ξ = β·dE/dx/(ρ·E).

    Args:
        dedx: MeV/cm.
        alpha: 0.93 in ArgoNeuT.
        beta: (kV/cm)(g/cm²)/MeV, 0.212 in ArgoNeuT (Acciarri et al., JINST 8 (2013) P08005).
        field: kV/cm.

    Returns:
        same shape. The formula turns over at low dE/dx (1.5 MeV/cm at 0.5 kV/cm) and becomes negative: below its
        maximum it is held at the maximum.
    """
    xi = beta * np.asarray(dedx, np.float64) / (DENSITY * field)
    xi = np.maximum(xi, _turning_point(alpha))
    return np.log(alpha + xi) / xi


def _turning_point(alpha: float) -> float:
    """ξ at the maximum of ln(α + ξ)/ξ for 0 < α ≤ 1: with u = α + ξ, where 1 − α/u = ln u, by bisection."""
    low, high = 1.0, float(np.e)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if 1.0 - alpha / middle > np.log(middle):
            low = middle
        else:
            high = middle
    return max(high - alpha, 1e-9)


def birks(dedx: np.ndarray, a: float, k: float, field: float) -> np.ndarray:
    """Share of electrons that escape recombination, A/(1 + k·dE/dx/(ρ·E)).

    Args:
        dedx: MeV/cm.
        a: 0.800 in ICARUS.
        k: (kV/cm)(g/cm²)/MeV, 0.0486 in ICARUS (Amoruso et al., NIM A 523 (2004) 275).
        field: kV/cm.
    """
    return a / (1.0 + k * np.asarray(dedx, np.float64) / (DENSITY * field))


def survival(drift_time: np.ndarray, lifetime: float) -> np.ndarray:
    """Share of electrons not captured by impurities after `drift_time` (µs); `lifetime` in ms."""
    return np.exp(-np.asarray(drift_time) / (1000.0 * lifetime))


def spread(drift_time: np.ndarray, diffusion: float) -> np.ndarray:
    """Standard deviation √(2Dt) in cm after `drift_time` (µs) for `diffusion` in cm²/s."""
    return np.sqrt(2e-6 * diffusion * np.asarray(drift_time))
