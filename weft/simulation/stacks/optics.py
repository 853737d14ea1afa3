"""From what is stained to what a camera counts."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from weft.simulation.stacks.settings import Camera, Optics


def patchy(stained: np.ndarray, optics: Optics, spacing: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """The staining [C, Z, Y, X] with patches: each channel times a log-normal field, smooth over `patch_size`."""
    if optics.patchiness == 0:
        return stained
    out = np.empty_like(stained)
    for channel, glow in enumerate(stained):
        field = gaussian_filter(
            rng.standard_normal(glow.shape, np.float32), np.divide(optics.patch_size, spacing), mode="wrap"
        )
        spread = float(field.std())
        # A stack smaller than a patch has no patches.
        field = field / spread if spread > 1e-6 else np.zeros_like(field)
        out[channel] = glow * np.exp(np.float32(optics.patchiness) * field)
    return out


def light(stained: np.ndarray, optics: Optics, spacing: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """float32 [C, Z, Y, X]: expected light, 1 being that of a wide structure of brightness 1 in focus.

    The structures through the point-spread function (a Gaussian, wider along z), haze from out of focus, an uneven
    background, all less in the corners and less from slice to slice.
    """
    depth, rows, columns = stained.shape[1:]
    out = np.empty_like(stained)
    for channel, glow in enumerate(stained):
        seen = gaussian_filter(glow, np.divide(optics.psf, spacing), mode="constant")
        if optics.haze:
            seen += optics.haze * gaussian_filter(glow, np.divide(optics.haze_width, spacing), mode="constant")
        out[channel] = seen + optics.background * (1 + optics.unevenness * uneven((rows, columns), rng))
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in (rows, columns))
    out *= 1 - optics.vignetting * (y[:, None] ** 2 + x[None, :] ** 2) / 2
    bleached = (1 - optics.bleaching) ** (np.arange(depth, dtype=np.float32) / max(1, depth - 1))
    return out * bleached[:, None, None]


def uneven(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """float32 [Y, X]: a smooth random field from −1 to 1, of the few lowest cosines."""
    field = np.zeros(shape)
    y, x = (np.linspace(0, np.pi, n)[:, None] if n > 1 else np.zeros((1, 1)) for n in shape)
    for ky in range(3):
        for kx in range(3):
            height = rng.normal()
            if ky or kx:
                field += height / (ky**2 + kx**2) * np.cos(ky * y) * np.cos(kx * x).T
    return (field / max(np.abs(field).max(), 1e-9)).astype(np.float32)


def counts(expected: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """What the camera writes: Poisson noise of the photons, then gain, offset and Gaussian noise of the read-out."""
    photons = rng.poisson(expected * camera.photons).astype(np.float32)
    values = photons * camera.gain + camera.offset
    if camera.read_noise:
        values += camera.read_noise * rng.standard_normal(values.shape, np.float32)
    if camera.dtype == "float32":
        return values
    most = np.iinfo(camera.dtype).max
    return np.clip(np.rint(values), 0, most).astype(camera.dtype)
