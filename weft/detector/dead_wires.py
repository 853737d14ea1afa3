"""Which wires are dead: those known to be, and gaps between the others. One rule for training and for deploys.

A third of the candidates of a real event rest on dead wires, so a training and a deploy that disagree on them judge
different candidates (specs/larmatch.md §1.5).
"""

from __future__ import annotations

import numpy as np

from weft.detector.wires import GapRule

#: LArCV's channel status of a wire that works; what is below is noisy, dead or not there.
GOOD_STATUS = 4


def dead_wires(bad: np.ndarray, highest: np.ndarray, rule: GapRule) -> np.ndarray:
    """bool (wires,): which wires of a plane count as dead in an event.

    Args:
        bad: bool (wires,), known to be dead.
        highest: (wires,), the highest pixel of each wire in the event.
        rule: runs of wires that are empty and not known to be dead are dead too, if the run is short. A run ends at a
            wire with charge, at one known to be dead, and at the edge of the plane.
    """
    bad = np.asarray(bad, bool)
    if rule.longest == 0 or not len(bad):
        return bad.copy()
    empty = np.concatenate([[False], ~bad & (np.asarray(highest) <= rule.empty_below), [False]])
    starts, stops = np.flatnonzero(empty[1:] & ~empty[:-1]), np.flatnonzero(empty[:-1] & ~empty[1:])
    short = stops - starts <= rule.longest
    change = np.zeros(len(bad) + 1, np.int64)
    change[starts[short]] += 1
    change[stops[short]] -= 1
    return bad | (np.cumsum(change[:-1]) > 0)
