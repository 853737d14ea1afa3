import numpy as np
import pytest

from weft.simulation import matter
from weft.simulation import transport as room
from weft.simulation.stack import (
    DECAY,
    DEPOSITED,
    INITIAL,
    INVISIBLE,
    MU_CAPTURE,
    MU_IONI,
    OUTSIDE,
    RELEASED,
    World,
    look_up,
    turn,
)  # fmt: skip
from weft.simulation.transport import generator, transport

SPECIES = [
    (13, 300),
    (-13, 50),
    (11, 400),
    (-11, 30),
    (22, 300),
    (211, 250),
    (-211, 60),
    (2212, 300),
    (111, 200),
    (2112, 150),
]


@pytest.mark.parametrize(("pdg", "kinetic"), SPECIES)
@pytest.mark.parametrize("box", [100.0, 6.0])
def test_all_energy_is_accounted_for(primary, pdg, kinetic, box):
    """Kinetic energy + released rest mass = in the box + outside + invisible, in a large box and in one that leaks."""
    world = World(np.full(3, -box), np.full(3, box), 5.0, 0.1)
    for i in range(20):
        tracks, deposits, ledger = transport(primary(pdg, kinetic), world, (3, i))
        given = ledger[INITIAL] + ledger[RELEASED]
        assert ledger[INITIAL] == kinetic
        assert ledger[[DEPOSITED, OUTSIDE, INVISIBLE]].sum() == pytest.approx(given, abs=1e-6)
        assert deposits["energy"].sum() == pytest.approx(ledger[DEPOSITED], rel=1e-9)
        assert np.all(deposits["energy"] > 0)
        assert np.all(np.abs(np.stack([deposits[a] for a in "xyz"])) <= box)
        assert np.all(ledger[[INITIAL, DEPOSITED, OUTSIDE, INVISIBLE]] >= -1e-9)
        assert np.all(tracks["parent"][1:] < np.arange(1, len(tracks)))


def test_same_key_same_event_also_when_lists_must_grow(primary, argon, monkeypatch):
    first = transport(primary(11, 300), argon, (1, 2))
    monkeypatch.setattr(room, "_FIRST_TRACKS", 8)
    monkeypatch.setattr(room, "_FIRST_DEPOSITS", 8)
    again = transport(primary(11, 300), argon, (1, 2))
    other = transport(primary(11, 300), argon, (1, 3))
    assert np.array_equal(first.deposits, again.deposits)
    assert np.array_equal(first.tracks, again.tracks)
    assert np.array_equal(first.ledger, again.ledger)
    assert len(first.deposits) != len(other.deposits)


def test_random_streams_differ():
    draws = {generator((seed, event), stream).random() for seed in (0, 1) for event in (0, 1) for stream in (0, 1)}
    assert len(draws) == 8


def test_a_muon_stops_after_its_range(primary, argon):
    lengths = [transport(primary(13, 100), argon, (1, i)).tracks["length"][0] for i in range(60)]
    expected = look_up(matter.tables().range[matter.MUON], matter.tables().start, matter.tables().step, np.log(100.0))
    assert np.mean(lengths) == pytest.approx(expected, rel=0.01)
    assert 0.005 < np.std(lengths) / expected < 0.05  # range straggling of some per cent


def test_muons_decay_or_are_captured(primary, argon):
    def electrons(pdg):
        born = []
        for i in range(400):
            tracks = transport(primary(pdg, 5), argon, (2, i)).tracks
            born.append(
                tracks["kinetic"][(np.abs(tracks["pdg"]) == 11) & np.isin(tracks["process"], (DECAY, MU_CAPTURE))]
            )
        return born

    plus, minus = electrons(-13), electrons(13)
    assert all(len(b) == 1 for b in plus)
    assert np.mean([len(b) for b in minus]) == pytest.approx(0.25, abs=0.08)  # 3.7 standard deviations
    total = np.concatenate(plus) + matter.ELECTRON_MASS
    assert total.max() <= matter.MUON_MASS / 2 + 1e-9
    assert np.mean(total) == pytest.approx(0.7 * 52.83, rel=0.06)


def test_pions_at_rest(primary, argon):
    plus = transport(primary(211, 5), argon, (4, 0)).tracks
    muon = plus[plus["pdg"] == -13]
    assert len(muon) == 1
    assert muon["kinetic"][0] == pytest.approx(4.12, abs=0.01)
    minus = [transport(primary(-211, 5), argon, (4, i)).tracks for i in range(20)]
    assert all(np.isin(t["pdg"][1:2], (2212, 2112, 22)).all() for t in minus)
    assert not any((np.abs(t["pdg"]) == 13).any() for t in minus)


def test_knock_on_spectrum(primary):
    """1/T² between 0.5 and 5 MeV on fast muons: counts per decade of T as the formula has them."""
    world = World(np.full(3, -100.0), np.full(3, 100.0), 0.0, 0.1)
    energies = []
    for i in range(150):
        tracks = transport(primary(13, 10000), world, (6, i)).tracks
        energies.append(tracks["kinetic"][(tracks["parent"] == 0) & (tracks["process"] == MU_IONI)])
    t = np.concatenate(energies)
    assert t.min() >= matter.FOLLOWED_ELECTRON
    for low, high in ((0.5, 1.0), (1.0, 5.0)):
        expected = matter.KNOCK_ON * (1 / low - 1 / high) * 100 * 150
        assert np.sum((t > low) & (t < high)) == pytest.approx(expected, abs=4 * expected**0.5)


def test_neutral_pion_makes_its_mass(primary, argon):
    tracks = transport(primary(111, 200), argon, (7, 1)).tracks
    photons = tracks[(tracks["parent"] == 0) & (tracks["pdg"] == 22)]
    e = photons["kinetic"]
    p = e[:, None] * np.stack([photons[f"u{a}"] for a in "xyz"], 1)
    assert e.sum() == pytest.approx(200 + matter.PION0_MASS)
    assert e.sum() ** 2 - np.sum(p.sum(0) ** 2) == pytest.approx(matter.PION0_MASS**2, rel=1e-6)
    assert p.sum(0)[:2] == pytest.approx([0, 0], abs=1e-6)


def test_turn_by_hand():
    assert turn(0.0, 0.0, 1.0, 0.0, 0.0) == pytest.approx((1, 0, 0))
    u = np.array([0.6, 0.0, 0.8])
    for phi in np.linspace(0, 6, 7):
        w = np.array(turn(*u, 0.3, phi))
        assert w @ u == pytest.approx(0.3)
        assert np.linalg.norm(w) == pytest.approx(1)
