"""What wire planes make of the drifted charge: every number, with its unit and bounds."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from weft.config.detector import DetectorOptions, NamedDetector, build_detector
from weft.config.strict import Strict
from weft.detector.dead import dead_runs
from weft.detector.wires import Detector

NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Wires(Strict):
    """Wire planes in place of the pixels. Recombination, lifetime and diffusion are those of the response, the drift
    velocity is the detector's. Three numbers are those of the planes 0, 1, 2: two for induction, one for collection."""

    detector: NamedDetector = Field(description="name of a file in config/detectors, its path, or what it would say")
    centre: tuple[float, float, float] | None = Field(
        None,
        description="where in the detector the centre of the simulated box lies, cm; none: at the centre of all its "
        "drift volumes together",
    )
    cloud: float = Field(
        600.0, gt=0, le=1e5, description="electrons that diffuse together, at most; a deposit has at least one cloud"
    )
    electrons_per_adc: float = Field(
        200.0, gt=0, description="electrons per unit of a pixel; 200: a minimum-ionising track has about 50 per pixel"
    )
    gain: tuple[NotNegative, NotNegative, NotNegative] = Field(
        (1.0, 1.0, 1.0), description="charge after deconvolution over the charge that arrived"
    )
    pulse_time: tuple[NotNegative, NotNegative, NotNegative] = Field(
        (1.4, 1.4, 1.4), description="Gaussian width along time that the deconvolution leaves, µs"
    )
    pulse_wires: tuple[NotNegative, NotNegative, NotNegative] = Field(
        (0.4, 0.4, 0.2), description="Gaussian width across wires that the deconvolution leaves, wires"
    )
    noise: tuple[NotNegative, NotNegative, NotNegative] = Field(
        (500.0, 500.0, 350.0), description="noise of each pixel on its own, electrons (r.m.s.)"
    )
    coherent_noise: tuple[NotNegative, NotNegative, NotNegative] = Field(
        (150.0, 150.0, 100.0), description="noise that the wires of a group have in common, electrons (r.m.s.)"
    )
    coherent_group: int = Field(48, ge=1, description="neighbouring wires that share their electronics")
    threshold: float = Field(10.0, ge=0, description="smallest pixel that is kept, ADC; the others are 0")
    dead: tuple[Share, Share, Share] = Field(
        (0.18, 0.04, 0.09), description="share of dead wires; the default is that of one MicroBooNE event"
    )
    dead_run: float = Field(8.0, ge=1, le=1000, description="mean number of neighbouring wires that died together")
    dead_map: int = Field(1, ge=0, lt=2**32, description="seed of the map of dead wires")

    @property
    def built(self) -> Detector:
        """The detector."""
        return _built(self.detector)

    @property
    def dead_wires(self) -> tuple[np.ndarray, ...]:
        """bool (wires,) by image, three planes of each drift volume in turn: which wires are dead in every event."""
        return _dead_wires(self)

    @property
    def shift(self) -> np.ndarray:
        """float64 (3,): from the coordinates of the simulation, whose box is centred at 0, to the detector's, cm."""
        if self.centre is not None:
            return np.array(self.centre)
        tpcs = self.built.tpcs
        return 0.5 * (np.min([t.lower for t in tpcs], axis=0) + np.max([t.upper for t in tpcs], axis=0))


# Not properties kept by the settings: these would compare them, arrays included, when settings are compared.


@lru_cache(maxsize=4)
def _built(options: DetectorOptions) -> Detector:
    return build_detector(options, f"detector '{options.name}'")


@lru_cache(maxsize=4)
def _dead_wires(wires: Wires) -> tuple[np.ndarray, ...]:
    return tuple(
        dead_runs(plane.wires, wires.dead[k], wires.dead_run, (wires.dead_map, 3 * number + k))
        for number, tpc in enumerate(wires.built.tpcs)
        for k, plane in enumerate(tpc.planes)
    )
