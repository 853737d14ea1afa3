"""Events with made-up answers, in memory, as scoring reads them; and one event small enough to be counted by hand."""

import numpy as np

from weft.io.deposits import WIRE_DEPOSITS
from weft.io.larmatch_products import KEY_POINT_KINDS, triplet_scores
from weft.io.products import PARTICLES, Filtered
from weft.io.wire_products import PIXELS, TRIPLET_TRUTH, TRIPLETS
from weft.tasks.larmatch.judged import Judged
from weft.tasks.larmatch.options import Options
from weft.triplets.labels import TripletLabels, label_event

ALL_HEADS = Options.model_validate(
    {"model": {"heads": {name: [4] for name in ("larmatch", "key_points", "semantics", "affinity", "shift")}}}
)
CLASSES = ALL_HEADS.data.labels.classes.classes


class MemoryStore:
    """A joined store of events (dictionaries of products) with what is said of each."""

    def __init__(self, events, said, first=0):
        self._events, self._said = events, said
        self.events = np.zeros(len(events), [("run", "i8"), ("subrun", "i8"), ("event", "i8"), ("uid", "u8")])
        self.events["event"] = np.arange(first, first + len(events))
        self.events["uid"] = 1000 + self.events["event"]

    def __len__(self):
        return len(self._events)

    def __contains__(self, product):
        return True

    def __getitem__(self, product):
        if product == "prediction/triplet_scores":
            return self._said
        return [event[product] for event in self._events]


def answer(event, quality, seed=0, options=ALL_HEADS):
    """`triplet_scores` of an event that are the better, the higher the quality."""
    rng = np.random.default_rng(seed)
    heads = options.model.heads
    schema = triplet_scores(heads, CLASSES)
    pixels, triplets = event["pixels"], event["triplets"]
    labels = label_event(pixels, triplets, event["truth/wire_deposits"], event["truth/particles"], options.data.labels)
    log_odds = rng.normal(0, 1, len(triplets)) + quality * np.where(labels.good == 1, 1, -1)
    score = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    row = np.flatnonzero(score >= options.data.min_score)
    values = np.zeros(len(row), schema.dtype)
    values["larmatch"] = score[row]
    names = schema.dtype.names
    for name in names[1:]:
        values[name] = rng.random(len(row))
    if "semantics" in heads:
        label = labels.semantic[row]
        for k, name in enumerate(CLASSES):
            values[f"class_{name}"] += quality * (label == k)
    if "key_points" in heads:
        for k, kind in enumerate(KEY_POINT_KINDS):
            values[f"key_{kind}"] = labels.key_points[row, k]
    return Filtered(values, row.astype(np.int32))


def store_of(events, quality=1.5, seed=0, first=0, options=ALL_HEADS):
    return MemoryStore(events, [answer(event, quality, seed + k, options) for k, event in enumerate(events)], first)


def by_hand():
    """Five triplets in one row: good ones 0 and 2 (with a dead wire), ghosts 1 and 4, and 3 of unknown truth."""
    pixels = np.array(
        [(0, 0, 7, 10, 50, 0), (0, 0, 7, 11, 100, 0), (0, 1, 7, 20, 50, 0), (0, 1, 7, 21, 100, 0), (0, 2, 7, 5, 40, 0),
         (0, 2, 7, 6, 0, 1)],
        PIXELS.dtype,
    )  # fmt: skip
    triplets = np.array(
        [(0, 2, 4, 0, 0, 0), (1, 3, 4, 0, 0, 4), (0, 3, 5, 0, 3, 0), (1, 2, 5, 0, 3, 2), (1, 2, 4, 0, 0, 50)],
        TRIPLETS.dtype,
    )
    deposits = np.array(
        [
            (0, 7, 10, 20, 5, 0, 1, 1000, 0.5, 0, 0, 0),
            (0, 7, 10, 21, 6, 1, 1, 3000, 1.5, 0, 3, 0),
            (0, 8, 10, 21, 6, 1, 1, 4000, 2.0, 0, 3, 1),  # no candidate
            (0, 9, 10, 21, 6, 1, 1, 0, 1.0, 9, 9, 9),  # no electrons: no cell
            (0, 7, 10, 21, -1, 1, 1, 500, 8.0, 0, 9, 9),  # one plane has no wire there
        ],
        WIRE_DEPOSITS.dtype,
    )
    truth = np.array(
        [(1, 1000, 0.5, 0, 1), (0, 0, 0, -1, -1), (1, 3000, 1.5, 1, 1), (-1, 0, 0, -1, -1), (0, 0, 0, -1, -1)],
        TRIPLET_TRUTH.dtype,
    )
    nowhere = np.full((5, 6, 3), np.nan, np.float32)
    labels = TripletLabels(
        good=truth["good"],
        key_points=np.zeros((5, 6), np.float32),
        shift=nowhere,
        affinity=np.full((5, 3), np.nan, np.float32),
        semantic=np.array([2, -1, 4, -1, -1], np.int8),
        boundary=np.ones(5, np.float32),
    )
    labels.key_points[0] = 0.75, 0, 0, 0.25, 0, 0
    labels.shift[0, 0] = 0, 0, 1
    labels.affinity[0] = 1, 0, 0
    labels.affinity[2] = 0, 1, 0
    schema = triplet_scores(ALL_HEADS.model.heads, CLASSES)
    said = np.zeros(5, schema.dtype)
    said["larmatch"] = 0.9, 0.6, 0.25, 0.8, 0.55
    said["class_photon"], said["class_muon"] = 0.2, 0.8
    said["key_nu_vertex"] = 0.5
    said["affinity_x"], said["affinity_y"] = np.sqrt(0.75), 0.5  # 30° from x
    said["shift_nu_vertex_y"] = 1
    particles = np.zeros(2, PARTICLES.dtype)
    particles["pdg"], particles["energy_deposit"] = (13, 2212), (10, 20)
    return Judged(
        pixels=pixels, triplets=triplets, deposits=deposits, particles=particles, truth=truth, labels=labels, said=said,
        row=np.arange(5), classes=CLASSES, min_electrons=0,
    )  # fmt: skip
