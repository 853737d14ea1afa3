"""Truth of triplets where it is known what made a pixel, but not where in space (`pixel_truth`)."""

from __future__ import annotations

import numpy as np

from weft.compiled import kernel
from weft.io.deposits import WIRE_DEPOSITS
from weft.triplets.truth import label_triplets

#: MeV of deposited energy per electron-ion pair in liquid argon.
IONISATION_ENERGY = 23.6e-6


def label_from_pixels(pixels: np.ndarray, triplets: np.ndarray, truth: np.ndarray, min_electrons: float) -> np.ndarray:
    """`TRIPLET_TRUTH`, a row per triplet, from what is known of its pixels.

    A triplet is good if particles that are seen in all of its live pixels freed at least `min_electrons` there, a ghost
    if there is none and the origin of all of them is known, else unknown. So "ghost" is certain, "good" is not: the
    particle may have been at other wires of the same row (docs/wire_files.md says how often, measured by
    benchmarks/wire_files.py). Electrons are those that the energy frees.

    Args:
        pixels, triplets: `PIXELS` and `TRIPLETS` of an event.
        truth: `PIXEL_TRUTH`, sorted as it is stored.
        min_electrons: `weft.triplets.label_options.TruthOptions`.
    """
    deposits, known = deposits_from_pixels(pixels, triplets, truth)
    return label_triplets(pixels, triplets, deposits, min_electrons, known)


def deposits_from_pixels(pixels: np.ndarray, triplets: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `PIXEL_TRUTH` says in the form of `WIRE_DEPOSITS`, and bool (pixels,): where it is all that made a pixel.

    For each triplet and each particle that all of its live pixels see there is a deposit, at the position of the
    triplet. Its energy is the mean of what the pixels see; that of one pixel is counted in each of its triplets.
    """
    columns = ("tpc", "plane", "row", "wire")
    sizes = [1 + max(int(pixels[name].max(initial=0)), int(truth[name].max(initial=0))) for name in columns]
    mine, theirs = (
        np.ravel_multi_index([rows[name].astype(np.int64) for name in columns], sizes) for rows in (pixels, truth)
    )
    start, stop = np.searchsorted(theirs, mine), np.searchsorted(theirs, mine, side="right")
    dead = pixels["dead"] != 0
    known = dead | (stop > start)
    described = np.flatnonzero(stop > start)
    known[described] &= truth["known"][start[described]] != 0
    members = np.stack([triplets[f"pixel_{p}"] for p in range(3)], axis=1).astype(np.int64)
    which, row, energy = _shared(members, dead, start, stop, truth["particle"], truth["energy"].astype(np.float64))
    deposits = np.zeros(len(which), WIRE_DEPOSITS.dtype)
    first = pixels[members[which, 0]]
    deposits["tpc"], deposits["row"] = first["tpc"], first["row"]
    for p in range(3):
        deposits[f"wire_{p}"] = pixels["wire"][members[which, p]]
    deposits["particle"], deposits["class"] = truth["particle"][row], truth["class"][row]
    deposits["energy"], deposits["electrons"] = energy, energy / IONISATION_ENERGY
    for axis in "xyz":
        deposits[axis] = triplets[axis][which]
    return deposits, known


@kernel
def _shared(members, dead, start, stop, particle, energy):
    """Triplets and particles that all live pixels of them see.

    Returns the triplet, a row of the truth that names the particle, and the mean energy of the pixels.
    """
    room = 0
    for t in range(len(members)):
        most = 0
        for p in range(3):
            pixel = members[t, p]
            if not dead[pixel]:
                most = max(most, stop[pixel] - start[pixel])
        room += most
    which = np.empty(room, np.int64)
    row = np.empty(room, np.int64)
    mean = np.empty(room, np.float64)
    n = 0
    for t in range(len(members)):
        first = -1
        live = 0
        for p in range(3):
            if not dead[members[t, p]]:
                live += 1
                if first < 0:
                    first = p
        if first < 0:
            continue
        pixel = members[t, first]
        for k in range(start[pixel], stop[pixel]):
            if particle[k] < 0:
                continue
            total = energy[k]
            seen = 1
            for p in range(first + 1, 3):
                other = members[t, p]
                if dead[other]:
                    continue
                for j in range(start[other], stop[other]):
                    if particle[j] == particle[k]:
                        total += energy[j]
                        seen += 1
                        break
            if seen == live:
                which[n] = t
                row[n] = k
                mean[n] = total / live
                n += 1
    return which[:n].copy(), row[:n].copy(), mean[:n].copy()
