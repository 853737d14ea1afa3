"""One simulated stack: image, labels, instances and cost as functions of (settings, seed, index)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from weft.simulation.stacks.blobs import draw_blobs
from weft.simulation.stacks.cost import cost_map
from weft.simulation.stacks.drawing import Drawn, Grid
from weft.simulation.stacks.filaments import draw_filaments
from weft.simulation.stacks.optics import counts, light, patchy
from weft.simulation.stacks.settings import Blobs, Filaments, Shells, StackSettings
from weft.simulation.stacks.shells import draw_shells


class SimulatedStack(NamedTuple):
    """A stack and its truth.

    Attributes:
        image: [C, Z, Y, X] in the type of the camera.
        labels: int16 [Z, Y, X], class of each voxel; 0 background, −1 no valid label.
        instances: int32 [Z, Y, X], objects with a class above 0, numbered from 1; 0 elsewhere.
        cost: float32 [Z, Y, X].
    """

    image: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    cost: np.ndarray


def simulate_stack(settings: StackSettings, seed: int, index: int) -> SimulatedStack:
    """Stack `index` of a sample.

    Structures, light, noise and cost have generators of their own, so that the same structures are seen under other
    settings of optics and camera.
    """
    shapes, staining, background, noise, costs = (np.random.default_rng([seed, index, purpose]) for purpose in range(5))
    grid = Grid(settings.shape, settings.spacing)
    stained = np.zeros((settings.channels, *settings.shape), np.float32)
    labels = np.zeros(settings.shape, np.int16)
    instances = np.zeros(settings.shape, np.int32)
    number = 0
    for structure in settings.structures:
        for drawn in _draw(structure, settings.size, grid, shapes):
            stained[structure.channel][drawn.box] += shapes.uniform(*structure.brightness) * drawn.stained
            if structure.label == 0:
                continue
            labels[drawn.box][drawn.inside] = structure.label
            number += structure.label > 0
            instances[drawn.box][drawn.inside] = number if structure.label > 0 else 0
    stained = patchy(stained, settings.optics, settings.spacing, staining)
    image = counts(light(stained, settings.optics, settings.spacing, background), settings.camera, noise)
    return SimulatedStack(image, labels, consecutive(instances), cost_map(labels, settings.cost, costs))


def _draw(structure: Shells | Filaments | Blobs, size: float, grid: Grid, rng: np.random.Generator) -> Iterator[Drawn]:
    if isinstance(structure, Shells):
        return draw_shells(structure, size, grid, rng)
    if isinstance(structure, Filaments):
        return draw_filaments(structure, size, grid, rng)
    return draw_blobs(structure, size, grid, rng)


def consecutive(instances: np.ndarray) -> np.ndarray:
    """The same objects numbered 1, 2, … in the same order: objects that others hide have no number."""
    present = np.unique(instances)
    present = present[present > 0]
    number = np.zeros(int(instances.max(initial=0)) + 1, np.int32)
    number[present] = np.arange(1, len(present) + 1)
    return number[instances]
