"""Labels from files: OpenSamples through their pixels, training files through what they state."""

import numpy as np
import pytest
from opensamples_files import MICROBOONE, Charge, Event, Neutrino, Particle, write_opensamples

from weft.errors import WeftError
from weft.io.convert import convert_file
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.store import EventStore
from weft.io.triplet_labels import TRIPLET_LABELS
from weft.io.wire_products import PIXELS, TRIPLET_TRUTH, TRIPLETS
from weft.triplets.key_points import NU_VERTEX, TRACK_END, TRACK_START, true_key_points
from weft.triplets.label_options import LabelOptions
from weft.triplets.options import TripletOptions
from weft.triplets.pixel_truth import deposits_from_pixels
from weft.triplets.produce import write_triplets
from weft.triplets.semantic_schema import Rule, SemanticSchema
from weft.triplets.stored_truth import read_truth


def line(start, end, particle, step=0.25):
    """Charges along a line, of one particle or of a cosmic ray."""
    start, end = np.array(start, float), np.array(end, float)
    n = int(np.linalg.norm(end - start) / step)
    of = () if particle is None else ((particle, 0.5),)
    return [Charge(tuple(start + (end - start) * k / n), of) for k in range(n + 1)]


VERTEX, MUON_END, PROTON_END, COSMIC = (120, 10, 500), (128, 13, 509), (124, 6, 503), ((60, -50, 300), (65, -45, 303))


@pytest.fixture(scope="module")
def opensamples(tmp_path_factory):
    """A neutrino event of a muon and a proton beside a cosmic ray, converted, with its triplets."""
    folder = tmp_path_factory.mktemp("opensamples")
    event = Event(
        [*line(VERTEX, MUON_END, 1), *line(VERTEX, PROTON_END, 2), *line(*COSMIC, None)],
        [Particle(1, 13, 1, instance=0, start=VERTEX, end=MUON_END),
         Particle(2, 2212, 3, instance=1, start=VERTEX, end=PROTON_END)],
        Neutrino(VERTEX),
    )  # fmt: skip
    source, store, triplets = folder / "events.h5", folder / "store.h5", folder / "triplets.h5"
    write_opensamples(source, [event])
    convert_file(source, store)
    done = write_triplets(store, triplets, MICROBOONE, TripletOptions())
    with EventStore.open([store, triplets]) as opened:
        yield done, opened


def test_what_is_simulated_is_good_and_what_is_not_is_unknown(opensamples):
    done, store = opensamples
    triplets, truth = store["triplets"][0], store["triplet_truth"][0]
    far = triplets["z"] < 400
    assert far.sum() > 50
    assert (~far).sum() > 200
    assert (truth["good"][far] == -1).all()
    assert set(truth["particle"][~far & (truth["good"] == 1)].tolist()) == {0, 1}
    assert (truth["class"][truth["good"] == 1] == 1).all()
    # Along the tracks each charge is one of the good triplets.
    good = np.stack([triplets[a][truth["good"] == 1] for a in "xyz"], axis=1)
    for charge in [*line(VERTEX, MUON_END, 1), *line(VERTEX, PROTON_END, 2)]:
        assert np.linalg.norm(good - charge.position, axis=1).min() < 0.45
    assert str(done).endswith(" unknown")
    assert f"{(truth['good'] == 1).sum()} good" in str(done)


def test_vertex_and_ends_are_key_points(opensamples):
    """Where the simulation has them, in spite of the offset of the file's corrected positions."""
    _, store = opensamples
    deposits, _ = deposits_from_pixels(store["pixels"][0], store["triplets"][0], store["pixel_truth"][0])
    points = true_key_points(store["particles"][0], deposits, LabelOptions())
    places = {(int(p["kind"]), int(p["particle"])): [p[a] for a in "xyz"] for p in points}
    assert set(places) == {(NU_VERTEX, -1), (TRACK_START, 0), (TRACK_END, 0), (TRACK_START, 1), (TRACK_END, 1)}
    for key, place in (
        ((NU_VERTEX, -1), VERTEX), ((TRACK_START, 0), VERTEX), ((TRACK_END, 0), MUON_END), ((TRACK_END, 1), PROTON_END)
    ):  # fmt: skip
        assert places[key] == pytest.approx(place, abs=1e-3)


def test_labels_of_opensamples(opensamples):
    _, store = opensamples
    asked = []

    def read(name):
        asked.append(name)
        return store[name][0]

    options = LabelOptions(truth="pixels")
    found = read_truth(read, store["pixels"][0], store["triplets"][0], options)
    assert asked == ["pixel_truth", "particles"]
    good = found.labels.good == 1
    assert np.array_equal(found.labels.good, store["triplet_truth"][0]["good"])
    assert np.array_equal(found.triplets, store["triplet_truth"][0])
    names = np.array(options.classes.classes)
    assert set(names[found.labels.semantic[good]]) == {"muon", "proton"}
    assert (found.labels.semantic[~good] == -1).all()
    nearest = np.linalg.norm([store["triplets"][0][a] - v for a, v in zip("xyz", VERTEX, strict=True)], axis=0)
    score = found.labels.key_points[:, NU_VERTEX]
    assert np.allclose(
        score[good], np.where(nearest[good] < 9.1, np.exp(-((nearest[good] / 3) ** 2) / 2), 0), atol=0.011
    )
    assert np.isfinite(found.labels.affinity[good]).all(axis=1).mean() > 0.9
    along = np.array(MUON_END) - VERTEX
    muon = good & (found.triplets["particle"] == 0) & (nearest > 3)
    assert np.median(found.labels.affinity[muon] @ (along / np.linalg.norm(along))) > 0.95


def stated():
    """Pixels, triplets and labels of three triplets: a good muon, a ghost, and a good one of class "other"."""
    pixels = np.array([(0, p, 4, w, 50, 0) for p in range(3) for w in (5, 6)], PIXELS.dtype)
    triplets = np.zeros(3, TRIPLETS.dtype)
    triplets["pixel_0"], triplets["pixel_1"], triplets["pixel_2"] = [0, 0, 1], [2, 3, 3], [4, 4, 5]
    triplets["x"] = [1, 2, 3]
    truth = np.zeros(3, TRIPLET_TRUTH.dtype)
    truth["good"] = [1, 0, 1]
    labels = np.zeros(3, TRIPLET_LABELS.dtype)
    labels["class"], labels["weight"] = [2, -1, 5], [10, 1, 100]
    for kind in KEY_POINT_KINDS:
        labels[f"key_{kind}"] = [0.5, 0.5, 0.005]
    labels["key_delta"] = np.nan
    return pixels, triplets, truth, labels


def test_labels_of_training_files():
    pixels, triplets, truth, labels = stated()
    products = {"triplet_truth": truth, "triplet_labels": labels}
    found = read_truth(products.__getitem__, pixels, triplets, LabelOptions(truth="triplets"))
    assert found.labels.good.tolist() == [1, 0, 1]
    assert found.labels.semantic.tolist() == [2, -1, -1]  # the schema has no class "other"
    assert found.labels.boundary.tolist() == [10, 1, 1]
    # Ghosts have a score of 0, as has anything below the floor; of the sixth kind of good ones the file says nothing.
    np.testing.assert_array_equal(found.labels.key_points, [[0.5] * 5 + [np.nan], [0] * 6, [0] * 5 + [np.nan]])
    assert np.isnan(found.labels.shift).all()
    assert np.isnan(found.labels.affinity).all()
    assert found.deposits[["row", "wire_0", "wire_1", "wire_2", "x"]].tolist() == [(4, 5, 5, 5, 1), (4, 6, 6, 6, 3)]
    assert (found.deposits["particle"] < len(found.particles)).all()
    assert found.triplets[["good", "electrons", "particle"]].tolist() == [(1, 1, 0), (0, 0, -1), (1, 1, 0)]
    swapped = SemanticSchema(
        name="two", classes=("proton", "muon"),
        rules=(Rule(label="proton", pdg=(2212,)), Rule(label="muon", pdg=(13,))),
    )  # fmt: skip
    options = LabelOptions(truth="triplets", classes=swapped)
    assert read_truth(products.__getitem__, pixels, triplets, options).labels.semantic.tolist() == [1, -1, -1]


def test_no_triplets():
    pixels, triplets, truth, labels = (rows[:0] for rows in stated())
    products = {"triplet_truth": truth, "triplet_labels": labels}
    found = read_truth(products.__getitem__, pixels, triplets, LabelOptions(truth="triplets"))
    assert len(found.labels.good) == len(found.deposits) == 0


def test_labels_of_other_triplets_are_refused():
    products = {"triplet_truth": np.zeros(3, TRIPLET_TRUTH.dtype), "triplet_labels": np.zeros(3, TRIPLET_LABELS.dtype)}
    with pytest.raises(WeftError, match="labels of 3 triplets, but there are 2"):
        read_truth(
            products.__getitem__,
            np.zeros(6, PIXELS.dtype),
            np.zeros(2, TRIPLETS.dtype),
            LabelOptions(truth="triplets"),
        )
