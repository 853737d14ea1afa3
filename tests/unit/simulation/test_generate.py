import numpy as np

from weft.simulation.generate import primaries
from weft.simulation.settings import SimulationSettings
from weft.simulation.transport import generator


def draw(settings, n=300):
    return [primaries(settings, generator((9, i), 0)) for i in range(n)]


def test_counts_energies_and_walls():
    settings = SimulationSettings()
    recipe = settings.neutrino_like
    numbers = set()
    for tracks, neutrino_like in draw(settings):
        assert neutrino_like == 1
        vertex = tracks[tracks["interaction"] == 0]
        numbers.add(len(vertex))
        for block in recipe.blocks:
            codes = {"mu-": 13, "mu+": -13, "e-": 11, "e+": -11, "gamma": 22, "pi+": 211, "pi-": -211, "pi0": 111}
            of = vertex[np.isin(vertex["pdg"], [codes.get(s, 2212) for s in block.species])]
            assert block.count[0] <= len(of) <= block.count[1]
            assert np.all((of["kinetic"] >= block.energy[0]) & (of["kinetic"] <= block.energy[1]))
        assert len(np.unique(vertex[["x", "y", "z"]])) == 1
        assert max(abs(vertex[a][0]) for a in "xyz") <= 38.4 - recipe.wall
        rain = tracks[tracks["interaction"] > 0]
        assert 1 <= len(rain) <= 3
        assert np.array_equal(rain["interaction"], np.arange(1, len(rain) + 1))
        assert np.array_equal(tracks["parent"], np.arange(len(tracks)))
    assert numbers == {2, 3, 4, 5}


def test_fewest_particles_of_a_block_are_always_there():
    values = SimulationSettings().model_dump()
    values["neutrino_like"] = {
        "particles": (2, 3),
        "blocks": [
            {"species": ["mu-"], "count": (1, 1), "weight": 0.01},
            {"species": ["proton"], "count": (0, 2), "weight": 10},
        ],
    }
    for tracks, _ in draw(SimulationSettings.parse(values), 50):
        vertex = tracks[tracks["interaction"] == 0]
        assert np.sum(vertex["pdg"] == 13) == 1
        assert np.sum(vertex["pdg"] == 2212) == len(vertex) - 1


def test_directions_are_isotropic():
    u = np.concatenate([np.stack([t[f"u{a}"] for a in "xyz"], 1) for t, _ in draw(SimulationSettings())])
    assert np.allclose(np.linalg.norm(u, axis=1), 1)
    assert np.all(np.abs(u.mean(0)) < 4 / np.sqrt(3 * len(u)))
    assert np.all(np.abs((u**2).mean(0) - 1 / 3) < 4 * 0.3 / np.sqrt(len(u)))
