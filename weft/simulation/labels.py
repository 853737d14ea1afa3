"""From tracks and deposits to labelled particles, by the rules of LArCV's Supera.

An electromagnetic *family* is an electron or photon that a track, a nucleus or the generator made, with all its
electromagnetic descendants. Its deposits are split into *fragments*: pieces that do not touch (26 neighbours) on the
voxel grid. Each fragment becomes one particle, as do each muon, pion and proton; fragments of a family without a single
voxel above the label threshold are one particle together. A family's first fragment leads the group to which its
fragments belong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.compiled import kernel
from weft.detector.meta import VoxelMeta
from weft.simulation.settings import Labels
from weft.simulation.stack import DECAY, H_IONI, MU_CAPTURE, MU_IONI
from weft.simulation.transport import Transported

SHOWER, TRACK, MICHEL, DELTA, LOW_ENERGY = range(5)


class Particles(NamedTuple):
    """Labelled particles, in the order of their founding tracks.

    Attributes:
        track: int64 (p,), row of the track that founded each (a detached fragment: its earliest track).
        shape: int64 (p,), semantic class.
        group: int64 (p,), particle that leads its group.
        of_deposit: int64 (d,), particle of each deposit.
        first, last: int64 (p,), deposits where each enters the box or starts, and ends.
        size: int64 (p,), voxels above the label threshold, before diffusion.
    """

    track: np.ndarray
    shape: np.ndarray
    group: np.ndarray
    of_deposit: np.ndarray
    first: np.ndarray
    last: np.ndarray
    size: np.ndarray


def label(event: Transported, meta: VoxelMeta, rules: Labels) -> Particles:
    """Particles of an event, see the module's text."""
    tracks, deposits = event.tracks, event.deposits
    n = len(deposits)
    if n == 0:
        none = np.empty(0, np.int64)
        return Particles(none, none, none, none, none, none, none)
    is_em = np.isin(np.abs(tracks["pdg"]), (11, 22))
    family = _families(tracks["parent"].astype(np.int64), is_em)
    owner = family[deposits["track"]]
    voxel = meta.ids(meta.index(np.stack([deposits[a] for a in "xyz"], axis=1)))

    # One entry per (family, voxel); entries of an electromagnetic family that touch make a fragment.
    volume = int(np.prod(meta.count, dtype=np.int64))
    keys, entry = np.unique(owner * volume + voxel, return_inverse=True)
    entry_owner, entry_voxel = keys // volume, keys % volume
    entry_energy = np.bincount(entry, deposits["energy"], len(keys))
    counts = np.array(meta.count)
    fragment = _fragments(entry_owner, entry_voxel, is_em[entry_owner], counts)
    seen = entry_energy >= rules.threshold

    number = int(fragment.max()) + 1
    size = np.bincount(fragment, seen, number).astype(np.int64)
    of_deposit = fragment[entry]
    # Deposits are listed track by track, a parent before its daughters, so the first of a fragment founds it.
    first = np.full(number, n, np.int64)
    np.minimum.at(first, of_deposit, np.arange(n))
    fragment_owner = np.empty(number, np.int64)
    fragment_owner[fragment] = entry_owner
    founder = deposits["track"][first].astype(np.int64)

    leader = _leaders(tracks, is_em, fragment_owner, first, deposits["t"], size, rules)
    shape = np.full(number, LOW_ENERGY, np.int64)
    pdg = np.abs(tracks["pdg"][fragment_owner])
    process = tracks["process"][fragment_owner]
    mother = tracks["parent"][fragment_owner].astype(np.int64)
    leads = leader[fragment_owner] == np.arange(number)
    em = is_em[fragment_owner]
    shape[~em & (size >= rules.scatter_size)] = TRACK
    shape[em & (size >= rules.compton_size)] = SHOWER
    is_primary = mother == fragment_owner
    shape[em & leads & is_primary & (pdg == 11) & (size >= rules.scatter_size)] = SHOWER
    from_muon = (pdg == 11) & np.isin(process, (DECAY, MU_CAPTURE))
    shape[em & leads & from_muon & (size >= rules.scatter_size)] = MICHEL

    # A knock-on electron is a delta ray if it leaves its track, else it is part of it.
    knock_on = em & leads & (pdg == 11) & np.isin(process, (MU_IONI, H_IONI))
    on_track = np.isin(mother[fragment] * volume + entry_voxel, keys)
    off = np.bincount(fragment, seen & ~on_track, number)
    shape[knock_on] = np.where(off[knock_on] >= rules.delta_size, DELTA, LOW_ENERGY)
    mother_fragment = leader[mother]
    merged = knock_on & (off < rules.delta_size) & (mother_fragment >= 0)
    into = np.where(merged, mother_fragment, np.arange(number))
    group = into[leader[fragment_owner]]
    # Fragments too faint to count are many: those of a family are kept as one.
    faint = np.flatnonzero(em & ~leads & (size == 0))
    _, at, of = np.unique(fragment_owner[faint], return_index=True, return_inverse=True)
    into[faint] = faint[at][of]

    keep = np.flatnonzero(into == np.arange(number))
    keep = keep[np.argsort(founder[keep], kind="stable")]
    rank = np.full(number, -1, np.int64)
    rank[keep] = np.arange(len(keep))
    of_particle = rank[into[of_deposit]]
    last = np.zeros(number, np.int64)
    own = deposits["track"] == founder[of_deposit]
    np.maximum.at(last, of_deposit[own], np.flatnonzero(own))
    # A photon leads its group in its own name, not in that of the electron that it freed first.
    named = np.where(leads & em, fragment_owner, founder)
    return Particles(named[keep], shape[keep], rank[group[keep]], of_particle, first[keep], last[keep], size[keep])


@kernel
def _families(parent: np.ndarray, is_em: np.ndarray) -> np.ndarray:
    family = np.arange(len(parent))
    for i in range(len(parent)):
        if is_em[i] and is_em[parent[i]]:
            family[i] = family[parent[i]]
    return family


@kernel
def _fragments(owner: np.ndarray, voxel: np.ndarray, split: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Number of the connected piece of each (owner, voxel) entry, sorted by both; owners not split are one piece."""
    n = len(owner)
    root = np.arange(n)
    nx, ny, _ = count
    for i in range(n):
        if not split[i]:
            if i > 0 and owner[i - 1] == owner[i]:
                root[i] = root[i - 1]
            continue
        x, y, z = voxel[i] % nx, voxel[i] // nx % ny, voxel[i] // (nx * ny)
        begin = i
        # The 13 neighbours with a smaller id, three or fewer in a row along x, found among the sorted voxels.
        for dz in range(-1, 1):
            for dy in range(-1, 2):
                if dz == 0 and dy == 1:
                    continue
                yy, zz = y + dy, z + dz
                if zz < 0 or yy < 0 or yy >= ny:
                    continue
                low = (zz * ny + yy) * nx + max(x - 1, 0)
                high = (zz * ny + yy) * nx + min(x + 1, nx - 1)
                left, right = 0, begin
                while left < right:
                    middle = (left + right) // 2
                    if owner[middle] < owner[i] or (owner[middle] == owner[i] and voxel[middle] < low):
                        left = middle + 1
                    else:
                        right = middle
                while left < i and owner[left] == owner[i] and voxel[left] <= high:
                    a, b = left, i
                    while root[a] != a:
                        a = root[a]
                    while root[b] != b:
                        b = root[b]
                    if a < b:
                        root[b] = a
                    else:
                        root[a] = b
                    left += 1
    number = 0
    name = np.empty(n, np.int64)
    for i in range(n):
        a = i
        while root[a] != a:
            a = root[a]
        root[i] = a
        if a == i:
            name[i] = number
            number += 1
        else:
            name[i] = name[a]
    return name


def _leaders(
    tracks: np.ndarray,
    is_em: np.ndarray,
    fragment_owner: np.ndarray,
    first: np.ndarray,
    time: np.ndarray,
    size: np.ndarray,
    rules: Labels,
) -> np.ndarray:
    """Fragment that leads each family, −1 where a family left nothing in the box.

    It is the earliest one, and for a photon the earliest that is large enough for a shower, if there is one.
    """
    small = (np.abs(tracks["pdg"][fragment_owner]) == 22) & (size < rules.compton_size)
    order = np.lexsort((first, time[first], small, fragment_owner))
    owners, at = np.unique(fragment_owner[order], return_index=True)
    leader = np.full(len(tracks), -1, np.int64)
    leader[owners] = order[at]
    return leader
