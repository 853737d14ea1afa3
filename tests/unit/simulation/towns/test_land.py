"""The lie of the land: how much of it is water, what is a road, steps of terraces, and who has room."""

import numpy as np
import pytest

from weft.simulation.towns.land import Land, Site, Where
from weft.simulation.towns.settings import Ground

EDGE = 100.0
STEPS = np.linspace(0, EDGE, 81)
GRID = np.stack(np.meshgrid(STEPS, STEPS), -1).reshape(-1, 2)


def land(seed=0, **changes):
    return Land(Ground(**changes), EDGE, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(4))
def test_share_of_water_is_as_asked_for(seed):
    wet = (land(seed, water=1, water_share=(0.2, 0.2)).water(GRID) > 0).mean()
    assert wet == pytest.approx(0.2, abs=0.02)
    assert (land(seed, water=0).water(GRID) < 0).all()


def test_the_ground_has_the_level_of_the_bank_beside_water_and_hills_away_from_it():
    made = land(3, water=1, terraces=0, hills=4)
    away, height = -made.water(GRID), made.height(GRID)
    assert (height[away < 0] == 0).all()
    near = (away > 0) & (away < 0.5)
    assert near.any()
    assert np.abs(height[near]).max() < 2
    assert np.std(height[away > 20]) > 1


def test_terraces_are_level_with_steep_sides():
    heights = land(1, water=0, terraces=1, step=(2.0, 2.0), hills=4).height(GRID)
    level = np.abs((heights - 0.6 + 1) % 2 - 1) < 1e-9
    assert level.mean() > 0.6
    assert len(np.unique(np.round(heights[level], 6))) > 2
    smooth = land(1, water=0, terraces=0, hills=4).height(GRID)
    assert (np.abs((smooth - 0.6 + 1) % 2 - 1) < 1e-9).mean() < 0.01


def test_roads_have_their_width_and_end_at_the_water():
    made = land(2, water=1, roads=(1, 1), road_width=(6.0, 6.0))
    on = made.road(GRID) < 0
    assert on.any()
    assert (np.abs(made.roads[0].across(GRID[on])) < 3).all()
    assert (made.water(GRID[on]) <= -1).all()


def test_things_have_room_where_they_belong():
    made = land(5, water=1, roads=(2, 2))
    site, rng = Site(made), np.random.default_rng(0)
    placed: list[tuple[np.ndarray, float]] = []
    where: Where
    for where in ("land", "water", "road"):
        for _ in range(12):
            centre = site.place(2.0, where, rng, gap=0.5)
            if centre is None:
                continue
            assert all(np.hypot(*(centre - other)) >= radius + 2.5 - 1e-9 for other, radius in placed)
            placed.append((centre, 2.0))
            wet = made.water(centre[None])[0] > 0
            assert wet == (where == "water")
            if where == "road":
                assert min(abs(road.across(centre[None])[0]) - road.half for road in made.roads) < 0
    assert len(placed) > 20
    assert Site(made).place(80.0, "land", rng) is None, "no room for so much"
