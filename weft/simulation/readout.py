"""What the detector sees of the deposits: charge per voxel, noise, threshold, dead pixels, calibration to MeV."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from weft.detector.charge import birks, modified_box, spread, survival
from weft.detector.dead import dead_pixels
from weft.detector.diffusion import spread_over_voxels
from weft.detector.meta import VoxelMeta
from weft.simulation.labels import LOW_ENERGY, Particles
from weft.simulation.settings import Labels, Response

#: Semantic classes in the order in which they claim a shared voxel: track, Michel, shower, delta, low-energy.
PRIORITY = (1, 2, 0, 3, 4)


class Image(NamedTuple):
    """Attributes:
    voxel: int64 (v,), ids of the visible voxels, increasing.
    energy: float32 (v,), visible energy, MeV.
    semantics: int8 (v,).
    cluster_voxel, cluster_energy: int64 and float64 (c,), voxel ids and true MeV of every particle's share that
        counts, visible or not, particle by particle and sorted within.
    cluster_size: int64 (p,), entries per particle.
    faint_energy: float64 (p,), MeV of each particle in voxels that are not listed.
    """

    voxel: np.ndarray
    energy: np.ndarray
    semantics: np.ndarray
    cluster_voxel: np.ndarray
    cluster_energy: np.ndarray
    cluster_size: np.ndarray
    faint_energy: np.ndarray


def read_out(
    deposits: np.ndarray,
    particles: Particles,
    meta: VoxelMeta,
    response: Response,
    labels: Labels,
    rng: np.random.Generator,
) -> Image:
    """Drift the deposits to the anode and see them.

    A deposit's energy goes with its electrons: the diffused cloud shares both among voxels, so a voxel that holds
    diffused charge knows whose it is. A particle's cluster lists the voxels where it left at least `labels.threshold`,
    as Supera's do, and the visible ones where no particle did and it left most: every voxel of the image has an owner.
    The faint rest, the tails of the diffused clouds, is `faint_energy`: with the clusters it adds up to the deposits.
    """
    position = np.stack([deposits[a] for a in "xyz"], axis=1)
    drift = (position[:, 0] - meta.lower[0]) / response.drift_velocity
    electrons = ionisation_electrons(deposits, response) * survival(drift, response.lifetime)

    sigma = np.empty_like(position)
    sigma[:, 0] = spread(drift, response.diffusion_longitudinal)
    sigma[:, 1] = sigma[:, 2] = spread(drift, response.diffusion_transverse)
    size = np.asarray(meta.size)
    point, voxel, share = spread_over_voxels((position - meta.lower) / size, sigma / size, np.array(meta.count), 0.01)
    volume = int(np.prod(meta.count, dtype=np.int64))
    keys, entry = np.unique(particles.of_deposit[point] * volume + voxel, return_inverse=True)
    owner, cluster_voxel = keys // volume, keys % volume
    energy = np.bincount(entry, deposits["energy"][point] * share, len(keys))
    charge = np.bincount(entry, electrons[point] * share, len(keys))

    ids, where = np.unique(cluster_voxel, return_inverse=True)
    seen = np.bincount(where, charge, len(ids)) + response.noise * rng.standard_normal(len(ids))
    xyz = meta.xyz(ids)
    dead = _dead(response, meta.count[1], meta.count[2])[xyz[:, 1], xyz[:, 2]]
    visible = (seen >= response.threshold) & (seen > 0) & ~dead
    strong = energy >= labels.threshold
    winner = _claim(particles.shape[owner], strong, energy, where)
    listed = strong.copy()
    listed[winner[visible]] = True
    number = len(particles.track)
    return Image(
        ids[visible],
        calibrate(seen[visible], xyz[visible, 0], meta, response).astype(np.float32),
        particles.shape[owner[winner[visible]]].astype(np.int8),
        cluster_voxel[listed],
        energy[listed],
        np.bincount(owner[listed], minlength=number),
        np.bincount(owner[~listed], energy[~listed], number),
    )


def ionisation_electrons(deposits: np.ndarray, response: Response) -> np.ndarray:
    """float64 (d,): electrons of each deposit that escape recombination."""
    dedx = deposits["energy"] / deposits["dx"]
    if response.recombination == "modified_box":
        escape = modified_box(dedx, response.box_alpha, response.box_beta, response.field)
    else:
        escape = birks(dedx, response.birks_a, response.birks_k, response.field)
    return deposits["energy"] * 1e6 / response.ionisation * escape


def calibrate(electrons: np.ndarray, x: np.ndarray, meta: VoxelMeta, response: Response) -> np.ndarray:
    """Electrons at the anode as MeV: one recombination factor, that of a minimum-ionising track in the nominal model,
    and the nominal lifetime at the drift distance of the voxel's centre (x is its number)."""
    nominal = Response.model_fields
    escape = modified_box(
        np.array(response.calibration_dedx),
        nominal["box_alpha"].default,
        nominal["box_beta"].default,
        nominal["field"].default,
    )
    drift = (x + 0.5) * meta.size[0] / response.drift_velocity
    kept = survival(drift, response.calibration_lifetime)
    return electrons * response.ionisation * 1e-6 / (escape * kept)


def _claim(shape: np.ndarray, strong: np.ndarray, energy: np.ndarray, where: np.ndarray) -> np.ndarray:
    """int64 (voxels,): the entry whose class each voxel has: the first in PRIORITY among particles with enough energy
    in it, else the one with most."""
    rank = np.argsort(PRIORITY)[shape]
    order = np.lexsort((-energy, np.where(strong, rank, LOW_ENERGY + 1), where))
    _, at = np.unique(where[order], return_index=True)
    return order[at]


@lru_cache(maxsize=4)
def _dead(response: Response, ny: int, nz: int) -> np.ndarray:
    return dead_pixels(ny, nz, response.dead_pixels, response.dead_tiles, response.tile, response.dead_map)
