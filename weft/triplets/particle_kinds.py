"""What true particles are: who leads a shower, and whether one is a track, a shower, a Michel electron or a delta ray.

Shapes and groups of LArCV's truth say so, and the simulation has both. Where they are not set (−1), parents, PDG codes
and creation processes do, by the rules of LArMatch (specs/larmatch.md §3.2).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weft.errors import WeftError
from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.io.products import DELTA, MICHEL, SHOWER, TRACK

#: Numbers of `KEY_POINT_KINDS`; but for the first two, each is also a kind of particle, named by how it starts.
NU_VERTEX, TRACK_START, TRACK_END, SHOWER_START, MICHEL_START, DELTA_START = range(len(KEY_POINT_KINDS))

_TRACKS = (13, 211, 321, 2212)
_ELECTROMAGNETIC = (11, 22)
_MUON = 13
_MUON_ENDS = ("Decay", "muMinusCaptureAtRest")
_KNOCK_ON = ("muIoni", "muBrems", "muBrem", "muPairProd", "eBrem", "hIoni")


def particle_kinds(particles: np.ndarray, processes: Mapping[int, str] | None = None) -> np.ndarray:
    """int8 (p,): TRACK_START, SHOWER_START, MICHEL_START or DELTA_START; −1 of what is none of these.

    Particles without a shape: muons, pions, kaons and protons are tracks. Electrons and photons whose parent or
    ancestor is a muon are Michel electrons if it decayed or was captured, else delta rays, as are those that were
    knocked on; the others are showers.

    Args:
        particles: rows of the product `particles`.
        processes: what its codes of processes mean (`store["particles"].schema.codes["process"]`); only needed for
            electrons and photons without a shape.
    """
    kind = np.full(len(particles), -1, np.int8)
    for shape, of_shape in ((TRACK, TRACK_START), (SHOWER, SHOWER_START), (MICHEL, MICHEL_START), (DELTA, DELTA_START)):
        kind[particles["shape"] == shape] = of_shape
    pdg = sizes(particles["pdg"])
    unset = particles["shape"] < 0
    kind[unset & np.isin(pdg, _TRACKS)] = TRACK_START
    unset &= np.isin(pdg, _ELECTROMAGNETIC)
    if unset.any():
        from_muon = (sizes(particles["parent_pdg"]) == _MUON) | (sizes(particles["ancestor_pdg"]) == _MUON)
        who = "electrons and photons without a shape"
        ended = has_process(particles["process"], _MUON_ENDS, processes, who)
        knocked = has_process(particles["process"], _KNOCK_ON, processes, who)
        kind[unset] = SHOWER_START
        kind[unset & (from_muon | knocked)] = DELTA_START
        kind[unset & from_muon & ended] = MICHEL_START
    return kind


def leaders(particles: np.ndarray) -> np.ndarray:
    """int64 (p,): the row that leads each particle's group.

    Where no group is set, electrons and photons belong to the first of their line of electromagnetic parents, others
    to themselves.
    """
    number = len(particles)
    group = particles["group_id"].astype(np.int64)
    unset = (group < 0) | (group >= number)
    leader = np.where(unset, np.arange(number), group)
    if not unset.any():
        return leader
    electromagnetic = np.isin(sizes(particles["pdg"]), _ELECTROMAGNETIC)
    ids, first = np.unique(particles["trackid"], return_index=True)
    at = np.minimum(np.searchsorted(ids, particles["parent_trackid"]), len(ids) - 1)
    parent = first[at]
    linked = unset & (particles["parent_trackid"] >= 0) & (ids[at] == particles["parent_trackid"])
    linked &= electromagnetic & electromagnetic[parent]
    leader[linked] = parent[linked]
    for _ in range(number.bit_length()):  # each round doubles how far back the line is followed
        leader = np.where(linked, leader[leader], leader)
    return leader


def sizes(pdg: np.ndarray) -> np.ndarray:
    """int64: PDG codes without their sign."""
    return np.abs(np.asarray(pdg, np.int64))


def has_process(codes: np.ndarray, names: tuple[str, ...], processes: Mapping[int, str] | None, who: str) -> np.ndarray:
    """bool (p,): whether coded processes are among `names`. WeftError, which begins with `who`, without their table."""
    if processes is None:
        raise WeftError(f"{who}: creation processes are asked for, but what their codes mean was not given")
    return np.isin(codes, [code for code, name in processes.items() if name in names])
