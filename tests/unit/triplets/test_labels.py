"""All labels of an event together, also of simulated ones."""

import dataclasses

import numpy as np
import pytest
from label_events import ROOT, TOY, deposits_at, event_of, line, particle, table
from scipy.spatial import cKDTree

from weft.errors import WeftError
from weft.io.products import PARTICLES
from weft.io.wire_products import GHOST_TRIPLET, GOOD_TRIPLET, PIXELS, UNKNOWN_TRIPLET
from weft.simulation.event import simulate_event
from weft.simulation.settings import SimulationSettings
from weft.triplets.build import build_triplets
from weft.triplets.key_points import seen_deposits, true_key_points, xyz
from weft.triplets.label_options import LabelOptions
from weft.triplets.labels import TripletLabels, label_event
from weft.triplets.options import TripletOptions
from weft.triplets.semantic_schema import SemanticSchema
from weft.triplets.truth import label_triplets

OPTIONS = LabelOptions()
FIELDS = [field.name for field in dataclasses.fields(TripletLabels)]
START, END, DELTA = 1, 2, 5


def muon_and_delta():
    """A muon along z, a delta ray along y from its middle, and charge of a neutron, which has no class."""
    common = {"interaction_id": 0, "dist_travel": 20.0}
    particles = table(
        particle(pdg=13, shape=1, group_id=0, first_step=(0, 0, -8), last_step=(0, 0, 8), **common),
        particle(pdg=11, shape=3, group_id=1, first_step=(0, 0.2, 0), momentum=(0, 5, 0), **common),
        particle(pdg=2112, shape=4, group_id=2, first_step=(0, -20, 0), **common),
    )
    deposits = np.concatenate([
        deposits_at(line((0, 0, -8), (0, 0, 8)), 0),
        deposits_at(line((0, 0.2, 0), (0, 6, 0)), 1, shape=3),
        deposits_at([[0, -20, 0]], 2, shape=4),
    ])  # fmt: skip
    return particles, deposits


def test_a_muon_with_a_delta_ray():
    particles, deposits = muon_and_delta()
    event = event_of(deposits)
    truth = label_triplets(event.pixels, event.triplets, deposits, OPTIONS.min_electrons)
    labels = label_event(event.pixels, event.triplets, deposits, particles, OPTIONS)
    place, owner = xyz(event.triplets), truth["particle"]
    good = truth["good"] == GOOD_TRIPLET
    assert 60 < good.sum() < len(good) - 60
    assert (labels.good == truth["good"]).all()

    assert labels.semantic[good].tolist() == np.array([2, 0, -1])[owner[good]].tolist()  # muon, electron, none
    expected = np.array([[0, 0, 1], [0, 1, 0], [np.nan] * 3], np.float32)[owner[good]]
    np.testing.assert_allclose(labels.affinity[good], expected, atol=0.03)
    for kind, point in ((START, (0, 0, -8)), (END, (0, 0, 8)), (DELTA, (0, 0.2, 0))):
        distance = np.linalg.norm(place - point, axis=1)
        score = np.where(good & (distance < OPTIONS.cut), np.exp(-(distance**2) / 18), 0)
        np.testing.assert_allclose(labels.key_points[:, kind], score, atol=1e-5)
        labelled = score > 0
        np.testing.assert_allclose(labels.shift[labelled, kind], np.array(point) - place[labelled], atol=1e-5)
        assert np.isnan(labels.shift[~labelled, kind]).all()
    assert (labels.key_points[:, [0, 3, 4]] == 0).all()

    cell = np.stack([event.pixels["row"][event.triplets["pixel_0"]]] + [
        event.pixels["wire"][event.triplets[f"pixel_{p}"]] for p in range(3)
    ], axis=1)  # fmt: skip
    near = (np.abs(cell[:, None] - cell[None]) <= 1).all(-1)
    other = (labels.semantic[:, None] != labels.semantic) & (labels.semantic[:, None] >= 0) & (labels.semantic >= 0)
    border = (near & other).any(1)
    assert labels.boundary.tolist() == np.where(border, 2.0, 1.0).tolist()
    assert 2 < border.sum() < 20

    for name in FIELDS:
        label = getattr(labels, name)
        assert len(label) == len(event.triplets)
    types = [getattr(labels, name).dtype for name in FIELDS]
    assert types == [np.int8, np.float32, np.float32, np.float32, np.int8, np.float32]


def nothing_said(labels, rows):
    return bool(
        (labels.key_points[rows] == 0).all() and np.isnan(labels.shift[rows]).all()
        and np.isnan(labels.affinity[rows]).all() and (labels.semantic[rows] == -1).all()
        and (labels.boundary[rows] == 1).all()
    )  # fmt: skip


def test_ghosts_and_what_is_not_known_have_no_labels():
    particles, deposits = muon_and_delta()
    event = event_of(deposits)
    known = np.random.default_rng(0).random(len(event.pixels)) < 0.7
    labels = label_event(event.pixels, event.triplets, deposits, particles, OPTIONS, known)
    assert set(labels.good.tolist()) == {GHOST_TRIPLET, GOOD_TRIPLET, UNKNOWN_TRIPLET}
    assert nothing_said(labels, labels.good != GOOD_TRIPLET)
    assert not nothing_said(labels, labels.good == GOOD_TRIPLET)
    all_known = label_event(event.pixels, event.triplets, deposits, particles, OPTIONS)
    assert ((labels.good == GOOD_TRIPLET) == (all_known.good == GOOD_TRIPLET)).all()
    # Charge that is not that of these pixels makes nothing good (specs/larmatch.md §12.5).
    elsewhere = deposits.copy()
    elsewhere["row"] += 30
    labels = label_event(event.pixels, event.triplets, elsewhere, particles, OPTIONS)
    assert (labels.good == GHOST_TRIPLET).all()
    assert nothing_said(labels, slice(None))


def test_empty_events():
    particles, deposits = muon_and_delta()
    event = event_of(deposits)
    none = event_of(deposits[:0])
    labels = label_event(none.pixels, none.triplets, deposits, particles, OPTIONS)
    assert [getattr(labels, name).shape for name in FIELDS] == [(0,), (0, 6), (0, 6, 3), (0, 3), (0,), (0,)]
    labels = label_event(event.pixels, event.triplets, deposits[:0], table(), OPTIONS)
    assert (labels.good == GHOST_TRIPLET).all()
    assert nothing_said(labels, slice(None))
    single = event.pixels[event.pixels["plane"] == 1]
    alone = build_triplets(TOY, single, (tuple(np.zeros(p.wires, bool) for p in TOY.tpcs[0].planes),), TripletOptions())
    assert len(label_event(alone.pixels, alone.triplets, deposits, particles, OPTIONS).good) == 0


def test_schemas_that_ask_for_processes():
    particles, deposits = muon_and_delta()
    event = event_of(deposits)
    particles["process"] = 0, 1, 2
    rules = [{"label": "first", "process": ["primary"]}, {"label": "later", "process": ["muIoni", "hIoni"]}]
    options = LabelOptions(classes=SemanticSchema(name="mine", classes=("first", "later"), rules=rules))
    given = (event.pixels, event.triplets, deposits, particles, options)
    labels = label_event(*given, processes={0: "primary", 1: "muIoni", 2: "nCapture"})
    owner = label_triplets(event.pixels, event.triplets, deposits, OPTIONS.min_electrons)["particle"]
    assert labels.semantic.tolist() == np.array([0, 1, -1, -1])[owner].tolist()
    with pytest.raises(WeftError, match="labels 'mine'"):
        label_event(*given)


def same(a, b, order=slice(None)):
    for name in FIELDS:
        np.testing.assert_allclose(getattr(b, name), getattr(a, name)[order], atol=1e-5, err_msg=name)


# --------------------------------------------------------------------------------------------- simulated events


def simulated(index, dead=(0.0, 0.0, 0.0), detector="toy"):
    """Event, pixels, triplets, deposits, particles."""
    file = str(ROOT / f"config/detectors/{detector}.yaml")
    settings = SimulationSettings.parse({"wires": {"detector": file, "dead": dead}})
    event = simulate_event(settings, 31, index)
    particles = np.zeros(len(event.particles["_id"]), PARTICLES.dtype)
    for name, values in event.particles.items():
        particles[name[1:].replace("._", "_")] = values
    p = event.wires.pixels
    pixels = np.zeros(len(p.value), PIXELS.dtype)
    pixels["row"], pixels["wire"], pixels["charge"] = p.row, p.col, p.value
    pixels["tpc"], pixels["plane"] = np.divmod(p.plane, 3)
    dead_wires = settings.wires.dead_wires
    volumes = tuple(dead_wires[3 * n : 3 * n + 3] for n in range(len(settings.wires.built.tpcs)))
    made = build_triplets(settings.wires.built, pixels, volumes, TripletOptions())
    return event, made.pixels, made.triplets, event.wires.deposits, particles


@pytest.fixture(scope="module")
def events():
    return [simulated(index) for index in range(4)]


def test_any_order(events):
    _, pixels, triplets, deposits, particles = events[0]
    rng = np.random.default_rng(2)
    labels = label_event(pixels, triplets, deposits, particles, OPTIONS)
    order = rng.permutation(len(triplets))
    same(labels, label_event(pixels, triplets[order], deposits, particles, OPTIONS), order)
    same(labels, label_event(pixels, triplets, rng.permutation(deposits), particles, OPTIONS))
    # Other numbers for pixels and particles.
    order, number = rng.permutation(len(pixels)), rng.permutation(len(particles))
    moved, of = triplets.copy(), deposits.copy()
    for plane in range(3):
        moved[f"pixel_{plane}"] = np.argsort(order)[triplets[f"pixel_{plane}"]]
    renamed = particles[number]
    renamed["group_id"] = np.argsort(number)[renamed["group_id"]]
    of["particle"] = np.argsort(number)[deposits["particle"]]
    same(labels, label_event(pixels[order], moved, of, renamed, OPTIONS))


def test_key_points_of_the_simulation(events):
    """They are where the simulation says, charge of their own particle is there, and so are good triplets."""
    gaps, kinds = [], []
    for event, pixels, triplets, deposits, particles in events:
        points = true_key_points(particles, deposits, OPTIONS)
        steps, found = event.transported.deposits, event.labels
        for kind, row in ((1, found.first), (2, found.last), (3, found.first), (4, found.first), (5, found.first)):
            mine = points[points["kind"] == kind]
            whose = np.stack([steps[axis][row[mine["particle"]]] for axis in "xyz"], axis=1)
            np.testing.assert_allclose(xyz(mine), whose, atol=1e-4)
        vertices = points[points["kind"] == 0]
        neutrino = particles[particles["genid"] >= 0]
        np.testing.assert_allclose(xyz(vertices), np.unique(xyz(neutrino, "ancestor_vtx"), axis=0), atol=1e-4)
        seen = seen_deposits(deposits)
        for kind in (1, 2):
            for point in points[points["kind"] == kind]:
                own = xyz(seen[seen["particle"] == point["particle"]])
                assert np.linalg.norm(own - xyz(point), axis=1).min() < 0.5
        good = label_triplets(pixels, triplets, deposits, 0)["good"] == GOOD_TRIPLET
        gaps.append(cKDTree(xyz(triplets[good])).query(xyz(points))[0])
        kinds.append(points["kind"])
    gaps, kinds = np.concatenate(gaps), np.concatenate(kinds)
    assert (np.bincount(kinds, minlength=6)[:4] >= 3).all()
    # All wires work: a good triplet lies within a row and a wire of nearly every point.
    assert np.mean(gaps < 0.5) > 0.97
    assert gaps.max() < 3


def test_dead_wires_hide_few_key_points():
    _, pixels, triplets, deposits, particles = simulated(0, dead=(0.18, 0.04, 0.09))
    points = true_key_points(particles, deposits, OPTIONS)
    labels = label_event(pixels, triplets, deposits, particles, OPTIONS)
    good = labels.good == GOOD_TRIPLET
    gaps = cKDTree(xyz(triplets[good])).query(xyz(points))[0]
    assert np.mean(gaps < 0.5) > 0.8
    for kind in np.unique(points["kind"]):
        mine = gaps[points["kind"] == kind]
        assert labels.key_points[:, kind].max() == pytest.approx(np.exp(-(mine.min() ** 2) / 18), abs=1e-4)


def test_a_detector_of_two_volumes_whose_origin_is_elsewhere():
    """The simulated particles count from the centre of their box, which lies at z = 50 cm in this detector."""
    _, pixels, triplets, deposits, particles = simulated(0, detector="two_sided")
    with pytest.raises(WeftError, match=r"set labels\.origin"):
        label_event(pixels, triplets, deposits, particles, OPTIONS)
    options = LabelOptions(origin=(0.0, 0.0, 50.0))
    labels = label_event(pixels, triplets, deposits, particles, options)
    points = true_key_points(particles, deposits, options)
    good = labels.good == GOOD_TRIPLET
    assert set(np.unique(pixels["tpc"][triplets["pixel_0"][good]]).tolist()) == {0, 1}
    gaps = cKDTree(xyz(triplets[good])).query(xyz(points))[0]
    assert len(gaps) > 5
    assert np.mean(gaps < 0.5) > 0.9


def test_labels_of_the_simulation(events):
    for _, pixels, triplets, deposits, particles in events:
        labels = label_event(pixels, triplets, deposits, particles, OPTIONS)
        good = labels.good == GOOD_TRIPLET
        assert 0.02 < good.mean() < 0.98
        assert nothing_said(labels, ~good)
        directed = np.isfinite(labels.affinity[good]).all(axis=1)
        assert directed.mean() > 0.9
        np.testing.assert_allclose(np.linalg.norm(labels.affinity[good][directed], axis=1), 1, atol=1e-6)
        assert np.mean(labels.semantic[good] >= 0) > 0.95
        assert set(np.unique(labels.boundary).tolist()) <= {1, 2, 5}
        reached = np.linalg.norm(labels.shift, axis=2)
        assert ((reached < OPTIONS.cut) == (labels.key_points > 0)).all()
        near = reached < OPTIONS.cut
        np.testing.assert_allclose(labels.key_points[near], np.exp(-(reached[near] ** 2) / 18), atol=1e-5)
