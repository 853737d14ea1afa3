"""Draw the learning-rate schedules for the documentation, from the functions that set the rates.

    python benchmarks/schedules.py

Writes docs/figures/schedules.png. The plateau is that of a metric which stops improving after a third of the run.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from pydantic import TypeAdapter

from weft.config.schedule import SCHEDULES, PlateauSchedule, Schedule
from weft.config.training import Training
from weft.engine.schedules import Plateau, rate
from weft.report.palette import SERIES_COLORS, style

STEPS, WARMUP, EVERY = 1000, 100, 20
KEYS = {
    "constant": {},
    "step": {"every": 250, "factor": 0.3},
    "exponential": {"factor": 0.1, "every": 400},
    "cosine": {},
    "cosine_hold": {"share": 0.6, "floor": 0.1},
    "cosine_legacy": {},
    "poly": {"power": 0.9},
    "one_cycle": {"rise": 0.3},
    "plateau": {"factor": 0.3, "patience": 8},
}


def rates(schedule: Schedule) -> list[float]:
    """The share of the peak at each step of a run that is validated every 20 steps."""
    training = Training(iterations=STEPS, batch_size=1)
    plateau, shares = Plateau(), []
    for step in range(STEPS):
        if isinstance(schedule, PlateauSchedule) and step and step % EVERY == 0:
            plateau.update(max(0.3, 1 - 2 * step / STEPS), schedule, training)
        shares.append(plateau.reduction * rate(schedule, step, STEPS))
    return shares


def main() -> None:
    assert KEYS.keys() == SCHEDULES.keys()
    with style():
        figure, axes = plt.subplots(3, 3, figsize=(7.6, 5.2), sharex=True, sharey=True, layout="constrained")
        for axis, (name, keys) in zip(axes.flat, KEYS.items(), strict=True):
            warmup = {} if name == "one_cycle" else {"warmup": WARMUP}
            schedule = TypeAdapter(Schedule).validate_python({"name": name} | warmup | keys)
            axis.plot([100 * step / STEPS for step in range(STEPS)], rates(schedule), color=SERIES_COLORS[0])
            shown = ", ".join(f"{key}: {value}" for key, value in keys.items())
            axis.set_title(f"{name}  ({shown})" if shown else name, fontsize=8.5)
            axis.set_ylim(0, 1.05)
        for axis in axes[-1]:
            axis.set_xlabel("share of the run [%]")
        axes[1, 0].set_ylabel("learning rate / optimizer.lr")
        figure.savefig(Path(__file__).parents[1] / "docs/figures/schedules.png", dpi=150, facecolor="white")


if __name__ == "__main__":
    main()
