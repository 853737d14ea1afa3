"""One simulated street: a picture and the class of each pixel as functions of (settings, seed, index)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from weft.simulation.streets.colours import grain
from weft.simulation.streets.scene import Scene, camera_of, draw_scene
from weft.simulation.streets.settings import CLASSES, IGNORED, Light, StreetSettings

_GROUND = [CLASSES.index(name) for name in ("road", "sidewalk")]


class SimulatedStreet(NamedTuple):
    """A picture and its truth.

    Attributes:
        picture: uint8 [Y, X, 3].
        mask: uint8 [Y, X], ids of CLASSES, IGNORED where there is no label.
    """

    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def simulate_street(settings: StreetSettings, seed: int, index: int) -> SimulatedStreet:
    """Street `index` of a sample. What stands there and the light have generators of their own, so that the same
    streets are seen in another light."""
    things, light, noise = (np.random.default_rng([seed, index, purpose]) for purpose in range(3))
    camera = camera_of(settings, things)
    scene = draw_scene(settings, camera, things)
    return SimulatedStreet(_picture(scene, settings.light, light, noise), _mask(scene.classes, settings.border))


def _picture(scene: Scene, light: Light, rng: np.random.Generator, noise: np.random.Generator) -> NDArray[np.uint8]:
    # All are drawn whatever the settings are: another noise is no other shadow.
    exposure, thick, dark = rng.uniform(*light.exposure), rng.uniform(*light.fog), rng.uniform(0, 1)
    cast, patches = rng.normal(size=3), grain(scene.classes.shape, scene.classes.shape[0] / 10, rng)
    values = scene.colours.copy()
    shadow = np.isin(scene.classes, _GROUND) & (patches > 0.4)
    values[shadow] *= 1 - light.shade * dark
    through = (1 - thick) ** (np.minimum(scene.distance, 500.0) / 50)[..., None]
    values = values * through + 215 * (1 - through)
    values = values * exposure * (1 + light.cast * cast)
    values = ndimage.gaussian_filter(values, (light.blur, light.blur, 0), mode="nearest")
    values += light.noise * noise.normal(size=values.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _mask(classes: NDArray[np.int16], border: int) -> NDArray[np.uint8]:
    mask = classes.astype(np.uint8)
    if border:
        size = 2 * border + 1
        mixed = ndimage.maximum_filter(classes, size) != ndimage.minimum_filter(classes, size)
        mask[mixed] = IGNORED
    return mask
