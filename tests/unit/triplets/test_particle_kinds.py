import numpy as np
import pytest
from label_events import particle, table

from weft.errors import WeftError
from weft.triplets.particle_kinds import DELTA_START, MICHEL_START, SHOWER_START, TRACK_START, leaders, particle_kinds

CODES = {0: "primary", 1: "muIoni", 4: "eBrem", 5: "conv", 9: "Decay", 10: "muMinusCaptureAtRest"}


def test_the_shape_says_what_a_particle_is():
    rows = table(*(particle(shape=shape, pdg=11) for shape in range(6)))
    # shower, track, Michel, delta; low-energy charge and ghosts are none of these
    assert particle_kinds(rows).tolist() == [SHOWER_START, TRACK_START, MICHEL_START, DELTA_START, -1, -1]


def test_creation_process_and_parents_say_it_where_there_is_no_shape():
    rows = [
        (TRACK_START, {"pdg": -13, "process": 0}),
        (TRACK_START, {"pdg": 2212, "process": 0}),
        (TRACK_START, {"pdg": -211, "process": 9}),
        (-1, {"pdg": 2112, "process": 0}),
        (-1, {"pdg": 1000180400, "process": 0}),
        (SHOWER_START, {"pdg": 11, "process": 0, "parent_pdg": 11, "ancestor_pdg": 11}),
        (SHOWER_START, {"pdg": 22, "process": 9, "parent_pdg": 111, "ancestor_pdg": 111}),
        (SHOWER_START, {"pdg": -11, "process": 5, "parent_pdg": 22, "ancestor_pdg": 22}),
        (MICHEL_START, {"pdg": -11, "process": 9, "parent_pdg": -13, "ancestor_pdg": -13}),
        (MICHEL_START, {"pdg": 11, "process": 10, "parent_pdg": 13, "ancestor_pdg": 211}),
        (DELTA_START, {"pdg": 11, "process": 1, "parent_pdg": 13, "ancestor_pdg": 13}),
        (DELTA_START, {"pdg": 22, "process": 4, "parent_pdg": 11, "ancestor_pdg": 13}),
        (DELTA_START, {"pdg": 22, "process": 4, "parent_pdg": 11, "ancestor_pdg": 211}),
    ]
    particles = table(*(particle(**columns) for _, columns in rows))
    assert particle_kinds(particles, CODES).tolist() == [kind for kind, _ in rows]
    with pytest.raises(WeftError, match="without a shape: creation processes"):
        particle_kinds(particles)
    assert particle_kinds(particles[:5]).tolist() == [kind for kind, _ in rows[:5]]  # which need no process


def test_groups_lead():
    rows = table(*(particle(group_id=group) for group in (0, 0, 2, 1)))
    assert leaders(rows).tolist() == [0, 0, 2, 1]
    assert leaders(table()).tolist() == []


def test_without_groups_the_first_electromagnetic_parent_leads():
    # 10: muon, 11: its decay electron, 12 … 15: a line of electrons and photons from it, 20: a photon of unknown parent
    line = [(10, 13, 10), (15, -11, 14), (14, 22, 13), (13, 11, 12), (12, 22, 11), (11, 11, 10), (20, 22, 7)]
    rows = table(*(particle(trackid=own, pdg=pdg, parent_trackid=parent) for own, pdg, parent in line))
    assert leaders(rows).tolist() == [0, 5, 5, 5, 5, 5, 6]
    rows["parent_trackid"][5] = 15  # ids that go in a circle come to an end
    assert len(leaders(rows)) == 7
    rows["group_id"][3] = 0  # what is known stays
    assert leaders(rows)[3] == 0


def test_any_order():
    rng = np.random.default_rng(0)
    number = 40
    parent = np.array([rng.integers(0, k + 1) for k in range(number)])
    rows = table(
        *(particle(trackid=k + 1, parent_trackid=parent[k] + 1, pdg=[11, 22, 13][k % 3]) for k in range(number))
    )
    order = rng.permutation(number)
    found = leaders(rows)
    assert (rows["trackid"][found][order] == rows[order]["trackid"][leaders(rows[order])]).all()
    by_hand = np.arange(number)
    for k in range(number):
        if k % 3 < 2 and parent[k] % 3 < 2 and parent[k] != k:
            by_hand[k] = by_hand[parent[k]]
    assert found.tolist() == by_hand.tolist()
