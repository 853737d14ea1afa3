"""Following every particle of an event until all its energy is accounted for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.compiled import kernel
from weft.simulation.electromagnetic import follow_electron, follow_photon
from weft.simulation.hadronic import follow_neutron, follow_track, neutral_pion
from weft.simulation.matter import tables as argon
from weft.simulation.stack import (
    DEPOSIT,
    INITIAL,
    PDG_E,
    PDG_GAMMA,
    PDG_N,
    PDG_PI0,
    TRACK,
    Event,
    World,
)

#: Room for an event of some GeV; a fuller one is begun again with more.
_FIRST_TRACKS, _FIRST_DEPOSITS = 1 << 13, 1 << 16


class Transported(NamedTuple):
    """tracks (TRACK), primaries first; deposits (DEPOSIT) in the box; ledger float64 (5,), see `stack.ACCOUNTS`."""

    tracks: np.ndarray
    deposits: np.ndarray
    ledger: np.ndarray


@kernel
def _follow_all(rng, event, world, tables):
    for index in range(len(event.tracks)):
        if index == event.used[0] or event.used[2]:
            return
        kind = abs(event.tracks[index].pdg)
        if kind == PDG_E:
            follow_electron(rng, event, world, tables, index)
        elif kind == PDG_GAMMA:
            follow_photon(rng, event, world, tables, index)
        elif kind == PDG_N:
            follow_neutron(rng, event, world, index)
        elif kind == PDG_PI0:
            neutral_pion(rng, event, index)
        else:
            follow_track(rng, event, world, tables, index)


def transport(primaries: np.ndarray, world: World, key: tuple[int, int], stream: int = 0) -> Transported:
    """Move the primaries (TRACK rows, parent = own row) and everything they make through liquid argon.

    The random numbers are a function of `key` (seed, event) and `stream` alone.
    """
    n_tracks, n_deposits = _FIRST_TRACKS, _FIRST_DEPOSITS
    while True:
        event = Event(
            np.zeros(max(n_tracks, 2 * len(primaries)), TRACK),
            np.empty(n_deposits, DEPOSIT),
            np.array([len(primaries), 0, 0]),
            np.zeros(5),
        )
        event.tracks[: len(primaries)] = primaries
        event.ledger[INITIAL] = primaries["kinetic"].sum()
        _follow_all(generator(key, stream), event, world, argon())
        if event.used[2] == 0:
            return Transported(
                event.tracks[: event.used[0]].copy(), event.deposits[: event.used[1]].copy(), event.ledger
            )
        n_tracks, n_deposits = 2 * n_tracks, 2 * n_deposits


def generator(key: tuple[int, int], stream: int) -> np.random.Generator:
    """Random numbers of one purpose (`stream`) of one event: Philox keyed by (seed, event)."""
    return np.random.Generator(
        np.random.Philox(key=np.array(key, np.uint64), counter=np.array([0, 0, 0, stream], np.uint64))
    )
