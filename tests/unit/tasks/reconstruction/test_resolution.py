"""Resolutions against the energy, from objects worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from weft.io.products import SHOWER, TRACK
from weft.metrics.binned import bin_of
from weft.metrics.scores import Scores
from weft.tasks.reconstruction.metrics import ANGLE_EDGES, RESIDUAL_EDGES
from weft.tasks.reconstruction.resolution import KINETIC_EDGES, PANELS, counts_by_energy, measured


@pytest.fixture
def scores():
    """Two events; the fields of a row that are not given are those of a found, contained, primary shower of 100 MeV."""
    shower = {
        "uid": 1, "kind": "particle", "side": "truth", "same": True, "shape": SHOWER, "match_shape": SHOWER,
        "ke": 100.0, "match_ke": 90.0, "is_contained": 1, "is_primary": 1, "angle": 4.0,
    }  # fmt: skip
    rows = [
        {},
        {"uid": 2, "match_ke": 120.0, "ke": 400.0, "is_primary": 0},
        {"is_contained": 0},
        {"same": False},
        {"side": "prediction"},
        {"kind": "interaction"},
        {"match_shape": TRACK},
        {"shape": TRACK},
        {"match_ke": np.nan},
        {"ke": 0.0},
        {"angle": np.nan},
        {"shape": TRACK, "match_shape": TRACK, "match_ke": 130.0},
        {"shape": TRACK, "match_shape": TRACK, "is_contained": 0, "match_ke": 50.0, "uid": 2},
    ]
    objects = pd.DataFrame([shower | row for row in rows])
    return Scores(pd.DataFrame({"uid": [1, 2, 3]}), objects, pd.DataFrame())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shower_energy", [-0.1, -0.7, -0.1]),
        ("track_energy", [0.3]),
        ("leaving_energy", [-0.5]),
        ("shower_angle", [4.0, 4.0, 4.0]),
        ("track_angle", [4.0, 4.0]),
    ],
)
def test_what_counts(scores, name, expected):
    """Of angles an unknown energy does not matter, nor whether the shower is contained; a true energy of 0 does."""
    assert measured(scores.objects, name)[1] == pytest.approx(expected)


def test_counts_are_by_event_energy_and_residual(scores):
    counts = counts_by_energy(scores, "shower_energy")
    assert counts.shape == (3, len(KINETIC_EDGES) - 1, len(RESIDUAL_EDGES) - 1)
    assert counts.sum(axis=(1, 2)).tolist() == [2, 1, 0]
    low, high = bin_of([100.0, 400.0], KINETIC_EDGES)
    assert counts[0, low, bin_of([-0.1], RESIDUAL_EDGES)[0]] == 2
    assert counts[1, high, bin_of([-0.7], RESIDUAL_EDGES)[0]] == 1
    assert counts_by_energy(scores, "track_angle").shape[2] == len(ANGLE_EDGES) - 1


def test_each_panel_has_two_statistics_that_know_no_particles():
    for panel in PANELS.values():
        for _, statistic in (panel.upper, panel.lower):
            assert np.isnan(statistic(np.zeros((2, 3, len(panel.edges) - 1)))).all()
