import numpy as np
import pytest

from weft.simulation.settings import SimulationSettings
from weft.simulation.stack import PRIMARY, TRACK, World


@pytest.fixture(scope="session")
def small() -> SimulationSettings:
    """Events of a box of 96³ voxels: quick, and with all kinds of edges."""
    return SimulationSettings.parse({"box": {"voxels": 96}})


@pytest.fixture(scope="session")
def argon() -> World:
    """A metre of argon to each side, all of it recorded."""
    return World(np.full(3, -100.0), np.full(3, 100.0), 0.0, 0.1)


@pytest.fixture(scope="session")
def primary():
    """One particle at the origin along z."""

    def make(pdg: int, kinetic: float) -> np.ndarray:
        track = np.zeros(1, TRACK)
        track["pdg"], track["kinetic"], track["uz"], track["process"] = pdg, kinetic, 1.0, PRIMARY
        return track

    return make
