"""What is seen of a street, from far to near: colours without light, classes, and how far away each pixel is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft.simulation.streets.camera import FARTHEST, NEAREST, Camera
from weft.simulation.streets.colours import Colour, colour, grain
from weft.simulation.streets.settings import CLASSES, StreetSettings

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
_PLOT = 12.0  # m of the street that a building stands along, at most


@dataclass
class Scene:
    """A picture in the making: colours float64 [Y, X, 3], classes int16 [Y, X], distance float64 [Y, X] in m."""

    colours: NDArray[np.float64]
    classes: NDArray[np.int16]
    distance: NDArray[np.float64]

    def paint(
        self, where: Mask, kind: str, colours: NDArray[np.float64], distance: NDArray[np.float64] | float
    ) -> None:
        """Cover pixels with something nearer. colours: [3] or [Y, X, 3]."""
        self.colours[where] = np.broadcast_to(colours, self.colours.shape)[where]
        self.classes[where] = CLASSES.index(kind)
        self.distance[where] = np.broadcast_to(distance, self.distance.shape)[where]


def draw_scene(settings: StreetSettings, camera: Camera, rng: np.random.Generator) -> Scene:
    """A street with what stands in it."""
    shape = (camera.rows, camera.columns)
    scene = Scene(np.zeros((*shape, 3)), np.zeros(shape, np.int16), np.full(shape, np.inf))
    _sky(scene, settings, camera, rng)
    half, walk = rng.uniform(*settings.width) / 2, rng.uniform(*settings.sidewalk)
    _ground(scene, settings, camera, rng, half, walk)
    kerb = half + walk
    for side in (-1, 1):
        _buildings(scene, settings, camera, rng, side * (kerb + rng.uniform(0, 2.5)), kerb)
    _objects(scene, settings, camera, rng, half, walk)
    return scene


def _sky(scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator) -> None:
    rows, _ = camera.grid()
    shade = colour("sky", settings.alike, rng)
    paler = shade + (255 - shade) * 0.45
    down = np.clip(rows / camera.horizon, 0, 1)[..., None]
    clouds = grain(scene.classes.shape, camera.rows / 14, rng)[..., None] * rng.uniform(0, 14)
    scene.paint(np.ones(scene.classes.shape, bool), "sky", shade * (1 - down) + paler * down + clouds, np.inf)


def _ground(
    scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator, half: float, walk: float
) -> None:
    x, z = camera.ground()
    seen = np.isfinite(z)
    fine = grain(scene.classes.shape, 0, rng)[..., None]
    rough = grain(scene.classes.shape, 1.5, rng)[..., None]
    scene.paint(seen, "vegetation", colour("vegetation", settings.alike, rng) + 14 * fine + 8 * rough, z)
    with np.errstate(invalid="ignore"):
        joints = ((z % 1.5 < 0.12) | (np.abs(x) % 1.5 < 0.08)) & (z < 25)
        middle = (np.abs(x) < 0.08) & (z % 6 < 3)
    slabs = colour("sidewalk", settings.alike, rng) - 22 * joints[..., None] + 4 * fine
    scene.paint(seen & (np.abs(x) < half + walk), "sidewalk", slabs, z)
    asphalt = colour("road", settings.alike, rng) + 5 * fine + 4 * rough
    if rng.random() < 0.7:
        asphalt = np.where(middle[..., None], 205.0, asphalt)
    scene.paint(seen & (np.abs(x) < half), "road", asphalt, z)


def _buildings(
    scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator, x: float, kerb: float
) -> None:
    """Along one side of the street, a wall beside it and a wall across for each."""
    height, z = camera.wall(x)
    stop = FARTHEST
    while stop > NEAREST:
        start = max(NEAREST / 2, stop - rng.uniform(0.4, 1) * _PLOT)
        tall, shade = rng.uniform(*settings.objects.height), colour("building", settings.alike, rng)
        storey, pane = rng.uniform(2.6, 3.6), colour("road", settings.alike, rng) * rng.uniform(0.5, 1.6)
        built, bare = rng.random() >= settings.objects.gaps, rng.random() < 0.15
        if built:
            wall = (z >= start) & (z < stop) & (height >= 0) & (height < tall)
            scene.paint(wall, "building", _facade(z, height, storey, shade * 0.9, pane, bare, tall), z)
            # The wall that looks down the street, from the corner outwards.
            right, up = camera.front(x, start)
            out = right * np.sign(x)
            across = (out >= 0) & (out < 8) & (up >= 0) & (up < tall) & (scene.distance > start)
            scene.paint(across, "building", _facade(right, up, storey, shade, pane, bare, tall), start)
        stop = start - (rng.uniform(0, 1.5) if built else 0.0)


def _facade(
    along: NDArray[np.float64], height: NDArray[np.float64], storey: float, wall: Colour, pane: Colour, bare: bool,
    tall: float,
) -> NDArray[np.float64]:  # fmt: skip
    """[Y, X, 3]: windows in rows; bare walls have none."""
    with np.errstate(invalid="ignore"):
        u, v = (along / (0.8 * storey)) % 1, (height / storey) % 1
        window = (np.abs(u - 0.5) < 0.22) & (np.abs(v - 0.55) < 0.25) & (height < tall - 0.4 * storey)
    return np.where((window & (not bare))[..., None], np.clip(pane, 0, 255), wall)


def _objects(
    scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator, half: float, walk: float
) -> None:
    """Trees, cars and persons; those that are nearer cover the others."""
    wanted = settings.objects
    placed = []
    for kind, count in (("vegetation", wanted.trees), ("car", wanted.cars), ("person", wanted.persons)):
        for _ in range(int(rng.integers(count[0], count[1] + 1))):
            # Even in 1/Z: as many that look large as that look small.
            z = 1 / rng.uniform(1 / 40, 1 / 6)
            side = int(rng.choice((-1, 1)))
            place = {
                "vegetation": half + walk + rng.uniform(-0.6, 1.5),
                "car": half * rng.uniform(0.35, 0.8),
                "person": half + walk * rng.uniform(0.1, 0.95) if rng.random() < 0.8 else half * rng.uniform(0, 0.9),
            }[kind]
            placed.append((z, kind, side * place))
    draw = {"vegetation": _tree, "car": _car, "person": _person}
    for z, kind, x in sorted(placed, reverse=True):
        draw[kind](scene, settings, camera, rng, x, z)


def _tree(scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator, x: float, z: float) -> None:
    right, up = camera.front(x, z)
    tall, wide = rng.uniform(3.5, 7), rng.uniform(1.0, 2.2)
    trunk = (np.abs(right) < 0.16) & (up >= 0) & (up < tall)
    scene.paint(trunk & (scene.distance > z), "vegetation", colour("vegetation", 1.0, rng) * 0.7, z)
    edge = grain(scene.classes.shape, max(0.6, 0.15 * camera.focal / z), rng)
    middle = tall - wide * 0.4
    inside = (right / wide) ** 2 + ((up - middle) / (0.55 * tall - 0.5)) ** 2 < 1 + 0.35 * edge
    leaves = colour("vegetation", settings.alike, rng) + 16 * edge[..., None]
    scene.paint(inside & (up > 1.2) & (scene.distance > z), "vegetation", leaves, z)


def _car(scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator, x: float, z: float) -> None:
    """From behind or before: body, cabin with a pane, lights and wheels."""
    right, up = camera.front(x, z)
    wide, tall = rng.uniform(0.8, 1.0), rng.uniform(1.35, 1.9)
    body = (np.abs(right) < wide) & (up > 0.22) & (up < 0.55 * tall)
    slope = 1 - 0.28 * np.clip((up - 0.5 * tall) / (0.5 * tall), 0, 1)
    cabin = (np.abs(right) < wide * slope * 0.92) & (up >= 0.5 * tall) & (up < tall)
    pane = cabin & (np.abs(right) < wide * slope * 0.76) & (up > 0.58 * tall) & (up < 0.92 * tall)
    wheels = (np.abs(np.abs(right) - 0.74 * wide) < 0.14) & (up >= 0) & (up <= 0.26)
    lights = (np.abs(np.abs(right) - 0.8 * wide) < 0.1) & (np.abs(up - 0.42 * tall) < 0.07)
    paint = colour("car", settings.alike, rng)
    seen = scene.distance > z
    for where, shade in (
        (body, paint), (cabin, paint * 0.95), (pane, colour("road", 0.0, rng) * rng.uniform(0.5, 1.3)),
        (wheels, np.full(3, 25.0)), (lights, np.array((200.0, 60.0, 50.0))),
    ):  # fmt: skip
        scene.paint(where & seen, "car", shade, z)


def _person(
    scene: Scene, settings: StreetSettings, camera: Camera, rng: np.random.Generator, x: float, z: float
) -> None:
    right, up = camera.front(x, z)
    tall, wide, stride = rng.uniform(1.5, 1.9), rng.uniform(0.2, 0.3), rng.uniform(0.03, 0.16)
    head = (right / 0.13) ** 2 + ((up - tall + 0.14) / 0.16) ** 2 < 1
    coat = (np.abs(right) < wide) & (up >= 0.45 * tall) & (up < tall - 0.27)
    legs = (np.abs(np.abs(right) - stride) < 0.1) & (up >= 0) & (up < 0.48 * tall)
    skin = np.array((224.0, 180.0, 150.0)) * rng.uniform(0.35, 1.05)
    seen = scene.distance > z
    clothes = (colour("person", settings.alike, rng), colour("person", settings.alike, rng) * 0.8)
    for where, shade in ((legs, clothes[1]), (coat, clothes[0]), (head, skin)):
        scene.paint(where & seen, "person", shade, z)


def camera_of(settings: StreetSettings, rng: np.random.Generator) -> Camera:
    """A camera over the road, turned a little."""
    rows, columns = settings.shape
    focal = 0.75 * columns * rng.uniform(0.85, 1.15)
    return Camera(rows, columns, rows * rng.uniform(*settings.horizon), columns * rng.uniform(0.35, 0.65), focal)
