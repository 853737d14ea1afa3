"""What wire planes see of the deposits: drifted clouds of electrons, pulses, noise, dead wires, and where it truly was.

A deposit's electrons drift in clouds of a few hundred that diffuse on their own, and each cloud is seen by the nearest
wire of every plane: the same electrons pass all planes, so the three images of a cloud agree, and the row and the
wires of each cloud are exact truth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft.detector.charge import spread, survival
from weft.detector.pulses import add_pulses, shares_across
from weft.detector.wires import Tpc
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.root_planes import Pixels, PlaneMeta
from weft.simulation.labels import Particles
from weft.simulation.readout import ionisation_electrons
from weft.simulation.settings import Response
from weft.simulation.wire_settings import Wires

#: LArCV's channel status.
DEAD, GOOD = 1, 4


class WireEvent(NamedTuple):
    """Pixels of all images (image 3·t + k is plane k of drift volume t), and rows of `wire_deposits`."""

    pixels: Pixels
    deposits: np.ndarray


class Clouds(NamedTuple):
    """Electrons that arrive together.

    Attributes:
        deposit: int64 (n,), whose they are, increasing.
        position: float64 (n, 3), cm: from where they would arrive as they do, had they not diffused.
        electrons: float64 (n,), that arrive.
    """

    deposit: np.ndarray
    position: np.ndarray
    electrons: np.ndarray


def read_wires(
    deposits: np.ndarray,
    particles: Particles,
    response: Response,
    wires: Wires,
    drift_rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> WireEvent:
    """Drift the deposits to the wire planes of the volumes that they lie in, and see them.

    Deposits outside all drift volumes are lost. All times are zero, as in the voxel readout.
    """
    position = np.stack([deposits[a] for a in "xyz"], axis=1) + wires.shift
    electrons = ionisation_electrons(deposits, response)
    volume = wires.built.tpc_of(position)
    pixels, truth = [], []
    for number, tpc in enumerate(wires.built.tpcs):
        inside = np.flatnonzero(volume == number)
        clouds = drift(position[inside], electrons[inside], tpc, response, wires.cloud, drift_rng)
        owner = particles.of_deposit[inside]
        truth.append(true_deposits(clouds, deposits[inside], position[inside], owner, particles.shape, tpc, number))
        for k in range(len(tpc.planes)):
            image = charge_image(clouds, tpc, k, wires)
            image += noise_image(image.shape, wires, k, noise_rng)
            image[wires.dead_wires[3 * number + k]] = 0
            pixels.append(above(image / wires.electrons_per_adc, wires.threshold, 3 * number + k))
    return WireEvent(Pixels(*map(np.concatenate, zip(*pixels, strict=True))), np.concatenate(truth))


def drift(
    position: np.ndarray,
    electrons: np.ndarray,
    tpc: Tpc,
    response: Response,
    cloud: float,
    rng: np.random.Generator,
) -> Clouds:
    """Clouds at the anode: lost to impurities by the time they need, and displaced by diffusion, √(2Dt) each way.

    Args:
        position: (n, 3), cm, in the drift volume.
        electrons: (n,), that escaped recombination.
        cloud: electrons in a cloud, at most.
    """
    time = tpc.drift * (position[:, 0] - tpc.anode) / tpc.readout.drift_velocity
    arriving = electrons * survival(time, response.lifetime)
    number = np.maximum(np.ceil(arriving / cloud), 1).astype(np.int64)
    deposit = np.repeat(np.arange(len(position)), number)
    width = np.empty_like(position)
    width[:, 0] = spread(time, response.diffusion_longitudinal)
    width[:, 1:] = spread(time, response.diffusion_transverse)[:, None]
    displaced = position[deposit] + rng.standard_normal((len(deposit), 3)) * width[deposit]
    return Clouds(deposit, displaced, (arriving / number)[deposit])


def true_deposits(
    clouds: Clouds,
    deposits: np.ndarray,
    position: np.ndarray,
    owner: np.ndarray,
    shape: np.ndarray,
    tpc: Tpc,
    number: int,
) -> np.ndarray:
    """Rows of `wire_deposits` of one drift volume.

    The energy of a deposit lies in the row and the wires nearest to it, its electrons where they arrive. Positions are
    means of the electrons, of the deposits where no electron stayed: a mean of points that share wires has them too.

    Args:
        clouds: of `deposits` (n,), which lie at `position` (n, 3) in the detector.
        owner: int64 (n,), particles that left them.
        shape: int64 (p,), class of each particle.
        number: of the drift volume.
    """
    where = np.concatenate([clouds.position, position])
    electrons = np.concatenate([clouds.electrons, np.zeros(len(deposits))])
    energy = np.concatenate([np.zeros(len(clouds.deposit)), deposits["energy"]])
    particle = np.concatenate([owner[clouds.deposit], owner])
    # Rows and wires are counted from −1, which is outside.
    sizes = (tpc.readout.rows + 1, *(plane.wires + 1 for plane in tpc.planes))
    cell = np.ravel_multi_index((tpc.rows(where[:, 0]) + 1, *(tpc.wires(where).T + 1)), sizes)
    cells, cell = np.unique(cell, return_inverse=True)
    particles = max(1, len(shape))
    keys, entry = np.unique(cell * particles + particle, return_inverse=True)
    found = np.unravel_index(cells[keys // particles], sizes)

    truth = np.empty(len(keys), WIRE_DEPOSITS.dtype)
    truth["tpc"], truth["row"] = number, found[0] - 1
    for k in range(len(tpc.planes)):
        truth[f"wire_{k}"] = found[k + 1] - 1
    truth["particle"] = keys % particles
    truth["class"] = shape[keys % particles]
    total = np.bincount(entry, electrons, len(keys))
    truth["electrons"] = total
    truth["energy"] = np.bincount(entry, energy, len(keys))
    weight = np.where(total[entry] > 0, electrons, energy)
    for k, axis in enumerate("xyz"):
        truth[axis] = np.bincount(entry, weight * where[:, k], len(keys)) / np.bincount(entry, weight, len(keys))
    return truth


def charge_image(clouds: Clouds, tpc: Tpc, plane: int, wires: Wires) -> np.ndarray:
    """float64 (wires, rows): electrons in each pixel of a plane, without noise."""
    readout = tpc.readout
    image = np.zeros((tpc.planes[plane].wires, readout.rows))
    add_pulses(
        image,
        tpc.wires(clouds.position)[:, plane],
        readout.row_of(tpc.tick(clouds.position[:, 0])),
        clouds.electrons * wires.gain[plane],
        wires.pulse_time[plane] / (readout.tick * readout.ticks_per_row),
        shares_across(wires.pulse_wires[plane]),
    )
    return image


def noise_image(shape: tuple[int, int], wires: Wires, plane: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (wires, rows): electrons of noise, each pixel's own and that of its group of wires, white in time."""
    number, rows = shape
    noise = rng.standard_normal(shape, np.float32)
    noise *= wires.noise[plane]
    groups = rng.standard_normal((-(-number // wires.coherent_group), rows), np.float32)
    groups *= wires.coherent_noise[plane]
    noise += np.repeat(groups, wires.coherent_group, axis=0)[:number]
    return noise


def above(image: np.ndarray, threshold: float, number: int) -> Pixels:
    """The pixels of image `number` (wires, rows) that are at least `threshold` and positive, wire by wire."""
    wire, row = np.nonzero((image >= threshold) & (image > 0))
    return Pixels(np.full(len(wire), number), row, wire, image[wire, row].astype(np.float32))


def plane_metas(wires: Wires) -> list[PlaneMeta]:
    """What the images span: a pixel is one wire and one row."""
    metas = []
    for tpc in wires.built.tpcs:
        r = tpc.readout
        last = r.first_tick + r.rows * r.ticks_per_row
        metas += [PlaneMeta(r.rows, plane.wires, r.first_tick, last, 0.0, float(plane.wires)) for plane in tpc.planes]
    return metas


def channel_status(wires: Wires) -> list[np.ndarray]:
    """LArCV's status of each wire, int16 by image."""
    return [np.where(dead, DEAD, GOOD).astype(np.int16) for dead in wires.dead_wires]
