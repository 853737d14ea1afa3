"""What a network that looks at triplets is to learn of each of them (specs/larmatch.md §2.6, §3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.wire_products import GOOD_TRIPLET
from weft.triplets.affinity import particle_directions
from weft.triplets.key_points import key_point_labels, seen_deposits, true_key_points, xyz
from weft.triplets.label_options import LabelOptions
from weft.triplets.topology import boundary_neighbours, topology_weights
from weft.triplets.truth import label_triplets


@dataclass(frozen=True)
class TripletLabels:
    """Labels of the triplets of an event, a row each. Ghosts and those of unknown truth have none but `good`.

    Attributes:
        good: int8 (n,): GOOD_TRIPLET, GHOST_TRIPLET or UNKNOWN_TRIPLET of `weft.io.wire_products`.
        key_points: float32 (n, 6): exp(−d²/2σ²) of the distance d to the nearest key point of each kind
            (`weft.io.larmatch_products.KEY_POINT_KINDS`); 0 beyond the cut, where there is none, and where not good;
            NaN of good ones in a file that does not say.
        shift: float32 (n, 6, 3): cm from the triplet to that key point; NaN where its score is 0.
        affinity: float32 (n, 3): unit vector along the particle, in the direction of its motion; NaN where not good or
            without a direction.
        semantic: int8 (n,): class of the schema; −1 where not good, or where no rule of it fits.
        boundary: float32 (n,): topology weight of the semantic label; 1 where there is no such label.
    """

    good: np.ndarray
    key_points: np.ndarray
    shift: np.ndarray
    affinity: np.ndarray
    semantic: np.ndarray
    boundary: np.ndarray


def label_event(
    pixels: np.ndarray,
    triplets: np.ndarray,
    deposits: np.ndarray,
    particles: np.ndarray,
    options: LabelOptions,
    known: np.ndarray | None = None,
    processes: Mapping[int, str] | None = None,
) -> TripletLabels:
    """Labels of the triplets of an event, from exact truth; a triplet has those of the particle that most of its
    electrons come from.

    Args:
        pixels, triplets, deposits, particles: rows of the products of these names, `deposits` of `wire_deposits`.
        known: bool (pixels,): whether it is known what made a pixel; None: of all.
        processes: what codes of creation processes mean, `store["particles"].schema.codes["process"]`. Only needed for
            particles without a shape and by schemas that ask for processes.
    """
    truth = label_triplets(pixels, triplets, deposits, options.min_electrons, known)
    return labels_of(truth, pixels, triplets, deposits, particles, options, processes)


def labels_of(
    truth: np.ndarray,
    pixels: np.ndarray,
    triplets: np.ndarray,
    deposits: np.ndarray,
    particles: np.ndarray,
    options: LabelOptions,
    processes: Mapping[int, str] | None = None,
) -> TripletLabels:
    """:func:`label_event` where `TRIPLET_TRUTH` of the triplets is at hand."""
    n, kinds = len(triplets), len(KEY_POINT_KINDS)
    labels = TripletLabels(
        truth["good"].copy(),
        np.zeros((n, kinds), np.float32),
        np.full((n, kinds, 3), np.nan, np.float32),
        np.full((n, 3), np.nan, np.float32),
        np.full(n, -1, np.int8),
        np.ones(n, np.float32),
    )
    good = np.flatnonzero(truth["good"] == GOOD_TRIPLET)
    if not len(good):
        return labels
    seen = seen_deposits(deposits)
    position, particle = xyz(triplets[good]), truth["particle"][good]
    points = true_key_points(particles, deposits, options, processes)
    labels.key_points[good], labels.shift[good] = key_point_labels(position, points, options)
    labels.affinity[good] = particle_directions(position, particle, particles, seen, options, processes)
    semantic = options.classes.classify(particles, processes)[particle]
    labels.semantic[good] = semantic
    classed = good[semantic >= 0]
    neighbours = boundary_neighbours(pixels, triplets[classed], labels.semantic[classed])
    labels.boundary[classed] = topology_weights(position[semantic >= 0], neighbours, points, options)
    return labels
