"""Stores of a few events on wire planes whose triplets are scored as their labels say."""

import numpy as np
from wire_events import event

from weft.io.deposits import WIRE_DEPOSITS
from weft.io.larmatch_products import KEY_POINT_KINDS, KEY_POINTS, triplet_scores
from weft.io.products import PARTICLES, EventId, Filtered
from weft.io.store import EventStore, content_hash
from weft.io.wire_products import PIXELS, TRIPLETS
from weft.io.writer import StoreWriter
from weft.reco.feed import FedStore
from weft.triplets.key_points import true_key_points
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import label_event

LABELS = LabelOptions()
SCORES = triplet_scores(("key_points", "semantics", "affinity"), LABELS.classes.classes)
PROVIDERS = {"pixels": "triplets", "triplets": "triplets", "triplet_scores": "larmatch"}
GOOD, GHOST = 0.9, 0.3


def events(number=3, dead=6):
    """Events by number: the second is empty."""
    made = [dict(event(seed, particles=0 if seed == 1 else 4, dead=dead)) for seed in range(number)]
    return [one | {"triplet_scores": scores_of(one)} for one in made]


def scores_of(one, lowest=0.2):
    """`triplet_scores` of what a perfect network would say; ghosts have GHOST, every third of them is not written."""
    labels = label_event(one["pixels"], one["triplets"], one["truth/wire_deposits"], one["truth/particles"], LABELS)
    larmatch = np.where(labels.good == 1, GOOD, GHOST)
    larmatch[(labels.good != 1) & (np.arange(len(larmatch)) % 3 == 0)] = 0.1
    rows = np.flatnonzero(larmatch >= lowest)
    said = np.zeros(len(rows), SCORES.dtype)
    said["larmatch"] = larmatch[rows]
    for k, kind in enumerate(KEY_POINT_KINDS):
        said[f"key_{kind}"] = labels.key_points[rows, k]
    said["affinity_x"] = np.arange(len(rows))
    return Filtered(said, rows)


def true_points(one):
    return true_key_points(one["truth/particles"], one["truth/wire_deposits"], LABELS)


def as_found(points, shift=(0.0, 0.0, 0.0)):
    """`KEY_POINTS` at true ones."""
    made = np.zeros(len(points), KEY_POINTS.dtype)
    made["kind"], made["score"], made["support"] = points["kind"], 0.9, 5
    for axis, step in zip("xyz", shift, strict=True):
        made[axis] = points[axis] + step
    return made


def write(path, schemas, products, parents=()):
    """A store of events, made from those at `parents`."""
    parents = {other.stem: content_hash(other) for other in parents}
    with StoreWriter(path, schemas, provenance={}, parents=parents) as writer:
        for i, one in enumerate(products):
            writer.append(EventId(1, 0, i, 100 + i), one)
    return path


def inputs(folder, made):
    """Files of the events, by alias."""

    def picked(schemas, prefix=""):
        return [{schema.name: one[prefix + schema.name] for schema in schemas} for one in made]

    deposits, candidates = (WIRE_DEPOSITS, PARTICLES), (PIXELS, TRIPLETS)
    truth = write(folder / "truth.h5", deposits, picked(deposits, "truth/"))
    triplets = write(folder / "triplets.h5", candidates, picked(candidates), [truth])
    larmatch = write(folder / "larmatch.h5", (SCORES,), picked((SCORES,)), [truth, triplets])
    return {"truth": truth, "triplets": triplets, "larmatch": larmatch}


def opened(files, prediction):
    return FedStore(EventStore.open({**files, "prediction": prediction}), PROVIDERS)
