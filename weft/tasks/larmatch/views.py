"""Random views of an event on wire planes, for training.

What a geometry of three planes allows without knowing it:

* **Time mirrored.** Row r becomes −r in all planes. Wires see the point mirrored in x, so of vectors x changes sign.
  (Diffusion grows along the drift; a mirrored event has it the wrong way round, as has any that is moved in x.)
* **A turn by 180° about the drift direction.** Wire coordinates are linear in (y, z), so (y, z) → (−y, −z) mirrors the
  wires of every plane at once, and w₂ − a·w₀ − b·w₁ − c changes sign, of which the search for triplets looks at the
  size only. Of vectors y and z change sign. One plane alone, or y alone, cannot be mirrored: that would take other
  angles of the wires.
* **Moves.** Rows of an event may be moved together, wires of a plane by any number: the network sees the planes one by
  one and knows wires by nothing but their neighbours; only the phase of its coarser grids changes.

Planes are not exchanged: in no detector do two planes with different pulses see the same.

* **Charge.** The wires of each plane have amplifiers of their own, so a plane of a drift volume has its own gain, and
  how the charges of the three planes compare is known no better than these.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.detector.wires import PLANES


def random_view(
    arrays: Mapping[str, np.ndarray], flip: bool, shift: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The arrays that change of a sample: `row`, `wire`, and of labels `affinity`, `shift`."""
    mirror_time, turn = rng.random(2) < 0.5 if flip else (False, False)
    moves = rng.integers(0, shift, 1 + PLANES, np.int32, endpoint=True)
    return view(arrays, bool(mirror_time), bool(turn), moves)


def gain_view(arrays: Mapping[str, np.ndarray], spread: float, rng: np.random.Generator) -> np.ndarray:
    """float32 [P]: `charge` of the pixels times a factor for each plane of each drift volume, exp(spread · normal)
    each; nothing is drawn without spread."""
    if not spread:
        return arrays["charge"]
    image = arrays["tpc"].astype(np.int64) * PLANES + arrays["plane"]
    gains = np.exp(spread * rng.standard_normal(int(image.max(initial=0)) + 1)).astype(np.float32)
    return arrays["charge"] * gains[image]


def view(arrays: Mapping[str, np.ndarray], mirror_time: bool, turn: bool, moves: np.ndarray) -> dict[str, np.ndarray]:
    """See :func:`random_view`. moves: int [4], by how much rows and the wires of each plane are moved in the end."""
    sign = np.array([-1 if mirror_time else 1, *([-1 if turn else 1] * 2)], np.float32)
    changed = {
        "row": arrays["row"] * np.int32(sign[0]) + np.int32(moves[0]),
        "wire": arrays["wire"] * np.int32(sign[1]) + np.asarray(moves[1:], np.int32)[arrays["plane"]],
    }
    return changed | {name: arrays[name] * sign for name in ("affinity", "shift") if name in arrays}
