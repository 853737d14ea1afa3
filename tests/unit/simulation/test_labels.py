import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from weft.detector.meta import VoxelMeta
from weft.simulation.labels import DELTA, LOW_ENERGY, MICHEL, SHOWER, TRACK, _fragments, label
from weft.simulation.settings import Labels
from weft.simulation.stack import COMPT, DECAY, DEPOSIT, E_BREM, MU_IONI, PRIMARY
from weft.simulation.stack import TRACK as TRACK_DTYPE
from weft.simulation.transport import Transported

META = VoxelMeta((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (40, 30, 20))


def event(tracks, lines):
    """Tracks (pdg, process, parent) and, for each, the voxels in which it leaves 1 MeV (or the given energy)."""
    rows = np.zeros(len(tracks), TRACK_DTYPE)
    for name, column in zip(("pdg", "process", "parent"), zip(*tracks, strict=True), strict=True):
        rows[name] = column
    deposits = []
    for track, voxels in lines.items():
        for k, (x, y, z, *energy) in enumerate(voxels):
            deposits.append((track, x + 0.5, y + 0.5, z + 0.5, 10.0 * track + k, *(energy or [1.0]), 1.0))
    return Transported(rows, np.array(deposits, DEPOSIT), np.zeros(5))


def line(x, y, n, z=10, *energy):
    return [(x + k, y, z, *energy) for k in range(n)]


MUON = (13, PRIMARY, 0)


def test_a_track():
    p = label(event([MUON], {0: line(0, 5, 12)}), META, Labels())
    assert p.shape.tolist() == [TRACK]
    assert (p.track[0], p.group[0], p.size[0], p.first[0], p.last[0]) == (0, 0, 12, 0, 11)
    assert p.of_deposit.tolist() == [0] * 12


@pytest.mark.parametrize(("n", "shape"), [(1, LOW_ENERGY), (2, TRACK)])
def test_a_short_track(n, shape):
    assert label(event([MUON], {0: line(0, 5, n)}), META, Labels()).shape.tolist() == [shape]


@pytest.mark.parametrize(("off", "own"), [(2, False), (3, True)])
def test_a_knock_on_is_a_delta_ray_when_it_leaves_its_track(off, own):
    knock = [(5, 5, 10), (6, 5, 10)] + [(7, 6 + k, 10) for k in range(off)]
    p = label(event([MUON, (11, MU_IONI, 0)], {0: line(0, 5, 12), 1: knock}), META, Labels())
    if own:
        assert p.shape.tolist() == [TRACK, DELTA]
        assert p.group.tolist() == [0, 1]
        assert p.of_deposit.tolist() == [0] * 12 + [1] * 5
    else:
        assert p.shape.tolist() == [TRACK]
        assert p.of_deposit.tolist() == [0] * 16


def test_faint_voxels_do_not_make_a_delta_ray():
    knock = [(5, 5, 10)] + [(7, 6 + k, 10, 0.04) for k in range(5)]
    p = label(event([MUON, (11, MU_IONI, 0)], {0: line(0, 5, 12), 1: knock}), META, Labels())
    assert p.shape[0] == TRACK
    assert DELTA not in p.shape


def test_a_michel_electron_and_its_detached_photons():
    tracks = [MUON, (11, DECAY, 0), (22, E_BREM, 1), (11, COMPT, 2), (22, E_BREM, 1), (11, COMPT, 4)]
    lines = {0: line(0, 5, 12), 1: line(12, 6, 8), 3: line(25, 20, 3), 5: line(10, 25, 11)}
    p = label(event(tracks, lines), META, Labels())
    assert p.shape.tolist() == [TRACK, MICHEL, LOW_ENERGY, SHOWER]
    assert p.track.tolist() == [0, 1, 3, 5]
    assert p.group.tolist() == [0, 1, 1, 1]


def test_a_photon_leads_with_its_first_large_fragment():
    tracks = [(22, PRIMARY, 0), (11, COMPT, 0), (11, COMPT, 0)]
    p = label(event(tracks, {1: line(0, 0, 4), 2: line(0, 9, 15)}), META, Labels())
    assert p.shape.tolist() == [LOW_ENERGY, SHOWER]
    assert p.group.tolist() == [1, 1]
    assert p.track.tolist() == [1, 0]  # the large one bears the photon's name
    assert p.first.tolist() == [0, 4]


def test_touching_pieces_are_one_fragment_and_families_stay_apart():
    tracks = [(11, PRIMARY, 0), (22, E_BREM, 0), (11, COMPT, 1), (11, PRIMARY, 3)]
    lines = {0: line(0, 5, 6), 2: line(6, 6, 6, z=11), 3: line(0, 6, 6)}
    p = label(event(tracks, lines), META, Labels())
    assert p.shape.tolist() == [SHOWER, SHOWER]
    assert p.of_deposit.tolist() == [0] * 12 + [1] * 6


def test_faint_fragments_of_a_family_are_one():
    tracks = [(11, PRIMARY, 0)] + [(11, COMPT, 0)] * 4
    lines = {0: line(0, 5, 20)} | {k: [(5 * k, 20, 3, 0.01 if k < 4 else 0.06)] for k in (1, 2, 3, 4)}
    p = label(event(tracks, lines), META, Labels())
    assert p.shape.tolist() == [SHOWER, LOW_ENERGY, LOW_ENERGY]
    assert np.bincount(p.of_deposit).tolist() == [20, 3, 1]


def test_nothing_in_the_box():
    empty = Transported(np.zeros(1, TRACK_DTYPE), np.empty(0, DEPOSIT), np.zeros(5))
    assert len(label(empty, META, Labels()).track) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.4), st.integers(1, 3))
def test_fragments_are_scipys_connected_components(seed, density, owners):
    rng = np.random.default_rng(seed)
    count = np.array([7, 5, 6])
    filled = rng.random((owners, 6, 5, 7)) < density
    owner, flat = np.nonzero(filled.reshape(owners, -1))
    expected = np.zeros(len(owner), int)
    for k in range(owners):
        pieces, _ = ndimage.label(filled[k], np.ones((3, 3, 3)))
        expected[owner == k] = pieces.ravel()[flat[owner == k]] + 1000 * k
    got = _fragments(owner, flat, np.ones(len(owner), bool), count)
    pairs = set(zip(got.tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(set(got.tolist())) == len(set(expected.tolist()))
    whole = _fragments(owner, flat, np.zeros(len(owner), bool), count)
    assert len(set(whole.tolist())) == len(set(owner.tolist()))
