"""The truth of an event's triplets in whichever form a store has it: deposits, pixels, or the triplets themselves.

* ``deposits``: `wire_deposits`, where each charge arrived, exactly: what the simulation says;
* ``pixels``: `pixel_truth`, what made a pixel as far as it is known: hits with simulated energy over real data;
* ``triplets``: `triplet_truth` and `triplet_labels`, what a training file states of its own triplets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from weft.errors import WeftError
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.lartpc import particle_rows
from weft.io.triplet_labels import LABEL_CLASSES
from weft.io.wire_products import GOOD_TRIPLET
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import TripletLabels, labels_of
from weft.triplets.pixel_truth import deposits_from_pixels
from weft.triplets.truth import label_triplets, true_cells


@dataclass(frozen=True)
class EventTruth:
    """What is true of an event.

    Attributes:
        deposits: `WIRE_DEPOSITS`; where charge is not known in space, one for each good triplet and particle of it.
        particles: `PARTICLES`; where they are not known one that nothing is known of.
        triplets: `TRIPLET_TRUTH` of its triplets.
        min_electrons: what makes a triplet good.
    """

    deposits: np.ndarray
    particles: np.ndarray
    triplets: np.ndarray
    min_electrons: float
    _labels: Callable[[], TripletLabels]

    @cached_property
    def labels(self) -> TripletLabels:
        """Of its triplets."""
        return self._labels()

    @cached_property
    def cells(self) -> np.ndarray:
        """Those deposits that lie in true cells, which hold enough electrons to be good triplets."""
        return true_cells(self.deposits, self.min_electrons)


def read_truth(
    read: Callable[[str], np.ndarray],
    pixels: np.ndarray,
    triplets: np.ndarray,
    options: LabelOptions,
    processes: Mapping[int, str] | None = None,
) -> EventTruth:
    """The truth of an event in the form that `options.truth` names.

    Args:
        read: gives a true product of the event; it is asked for `options.products` only.
        pixels, triplets: `PIXELS` and `TRIPLETS` of the event.
        processes: what codes of creation processes mean, see `weft.triplets.labels.label_event`.
    """
    first, second = (np.asarray(read(name)) for name in options.products)
    if options.truth == "triplets":
        return _stated(pixels, triplets, first, second, options)
    known = None
    if options.truth == "pixels":
        first, known = deposits_from_pixels(pixels, triplets, first)
    states = label_triplets(pixels, triplets, first, options.min_electrons, known)
    return EventTruth(
        first,
        second,
        states,
        options.min_electrons,
        lambda: labels_of(states, pixels, triplets, first, second, options, processes),
    )


def _stated(
    pixels: np.ndarray, triplets: np.ndarray, truth: np.ndarray, stated: np.ndarray, options: LabelOptions
) -> EventTruth:
    """Labels of `triplet_labels`: no shifts and directions; classes that the schema does not name are not labelled, nor
    is closeness to key points where the file does not say (NaN).

    Good triplets stand for the deposits, all alike, of a particle that nothing is known of.

    Raises WeftError where there are not as many labels as triplets: then these are not the file's own.
    """
    if len(truth) != len(triplets):
        raise WeftError(
            f"labels.truth: triplets: the file states labels of {len(truth)} triplets, but there are {len(triplets)}; "
            "feed the stage the triplets of the file"
        )
    good = truth["good"] == GOOD_TRIPLET
    scores = np.stack([stated[f"key_{kind}"] for kind in KEY_POINT_KINDS], axis=1)
    number = {name: k for k, name in enumerate(options.classes.classes)}
    meaning = np.array([*(number.get(name, -1) for name in LABEL_CLASSES), -1], np.int8)
    semantic = np.where(good, meaning[stated["class"]], -1).astype(np.int8)
    labels = TripletLabels(
        truth["good"],
        np.where(good[:, None] & ~(scores < options.floor), scores, 0).astype(np.float32),
        np.full((len(truth), len(KEY_POINT_KINDS), 3), np.nan, np.float32),
        np.full((len(truth), 3), np.nan, np.float32),
        semantic,
        np.where(semantic >= 0, stated["weight"], 1).astype(np.float32),
    )
    deposits = np.zeros(int(good.sum()), WIRE_DEPOSITS.dtype)
    first = pixels[triplets["pixel_0"][good]]
    deposits["tpc"], deposits["row"] = first["tpc"], first["row"]
    for p in range(3):
        deposits[f"wire_{p}"] = pixels["wire"][triplets[f"pixel_{p}"][good]]
    deposits["class"], deposits["electrons"], deposits["energy"] = -1, 1, 1
    for axis in "xyz":
        deposits[axis] = triplets[axis][good]
    return EventTruth(deposits, particle_rows(1, {}), _alike(truth, good), 0.0, lambda: labels)


def _alike(truth: np.ndarray, good: np.ndarray) -> np.ndarray:
    """`TRIPLET_TRUTH` to go with such deposits."""
    states = truth.copy()
    for name in ("electrons", "energy"):
        states[name] = good
    states["particle"] = np.where(good, 0, -1)
    return states
