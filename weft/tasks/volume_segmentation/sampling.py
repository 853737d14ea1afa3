"""Which patch of a stack is cut, and how it is varied: a function of a generator."""

from __future__ import annotations

import numpy as np

from weft.tasks.volume_segmentation.held import Ready
from weft.tasks.volume_segmentation.options import DataOptions, SamplingOptions
from weft.volumes.augment import vary_intensities
from weft.volumes.buffer import of_image
from weft.volumes.deform import Deformation, Symmetry, draw_deformation, draw_symmetry, rotation
from weft.volumes.patches import Patch, Size, cut, start_around, uniform_start

_TRIES = 50  # for a patch with voxels that count; the best of them is taken where none has enough
_COUNTS = 1e-5  # cost from which a voxel counts


def draw_patch(ready: Ready, size_in: Size, size_out: Size, options: DataOptions, rng: np.random.Generator) -> Patch:
    """A random patch: from anywhere in the stack, or around a voxel of a class but the background."""
    sampling = options.sampling
    made = best = None
    for _ in range(_TRIES if sampling.least_cost else 1):
        made = _one(ready, size_in, size_out, options, rng)
        counting = int((made.cost > _COUNTS).sum())
        if best is None or counting > best[0]:
            best = counting, made
        if counting >= sampling.least_cost:
            break
    assert best is not None
    patch = best[1]
    return patch._replace(image=vary_intensities(patch.image, options.augment, rng))


def _one(ready: Ready, size_in: Size, size_out: Size, options: DataOptions, rng: np.random.Generator) -> Patch:
    if options.sampling.buffer is not None:
        return _of_turned_stack(ready, size_in, size_out, options.sampling, rng)
    symmetry = draw_symmetry(options.augment, rng)
    turned = symmetry.before(size_out)
    deformation = draw_deformation(options.augment, symmetry.before(size_in)[1:], rng)
    start = _start(ready, turned, options.sampling, rng)
    return cut(ready.stack, start, size_in, size_out, symmetry, deformation)


def _of_turned_stack(
    ready: Ready, size_in: Size, size_out: Size, sampling: SamplingOptions, rng: np.random.Generator
) -> Patch:
    """As the Trainer's loader: the whole stack is turned by 1 to 179 degrees and mirrored or not, once for all of its
    patches in a buffer; patches are cut from that."""
    whole = of_image(rng)
    _, high, wide = ready.stack.size
    turn = rotation(float(whole.integers(1, 180)))
    if whole.integers(2):
        turn = turn @ np.diag([1.0, -1.0])
    pivot = ((high - 1) / 2, (wide - 1) / 2)
    start = _start(ready, size_out, sampling, rng, turn, pivot)
    return cut(ready.stack, start, size_in, size_out, Symmetry(), Deformation(turn, pivot=pivot))


def _start(
    ready: Ready,
    size_out: Size,
    sampling: SamplingOptions,
    rng: np.random.Generator,
    turn: np.ndarray | None = None,
    pivot: tuple[float, float] = (0.0, 0.0),
) -> Size:
    size = ready.stack.size
    if not ready.foreground or rng.random() >= sampling.foreground:
        return uniform_start(size, size_out, rng)
    voxels = ready.foreground[list(ready.foreground)[int(rng.integers(len(ready.foreground)))]]
    z, y, x = (int(n) for n in voxels[int(rng.integers(len(voxels)))])
    if turn is not None:  # where the voxel is in the turned stack
        y, x = np.rint(np.linalg.inv(turn) @ (np.array([y, x]) - pivot) + pivot).astype(int).tolist()
    return start_around((z, y, x), size, size_out)
