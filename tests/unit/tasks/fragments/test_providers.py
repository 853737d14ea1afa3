"""Each class has one provider, which must be there and make fragments of it: said when the experiment is read."""

from typing import Any

import pytest

from weft import tasks
from weft.config.experiment import Experiment
from weft.config.loading import ConfigError, parse_yaml

TRAINING = {"iterations": 1, "batch_size": 1}
FOUND = ["fragments", "fragment_voxels"]


def experiment(providers: dict[str, str], needs: dict[str, Any] | None = None, **model: Any) -> Experiment:
    stages = {
        "uresnet": {"task": "segmentation", "needs": {"truth": ["voxels"]}, "training": TRAINING},
        "tracks": {
            "task": "graph_spice", "needs": {"uresnet": ["semantics"]}, "model": model, "training": TRAINING,
        },
        "fragments": {
            "task": "fragments",
            "needs": {"uresnet": ["semantics"], "tracks": FOUND} if needs is None else needs,
            "model": {"providers": providers},
        },
    }  # fmt: skip
    return tasks.resolve(Experiment.model_validate({"name": "x", "dataset": "events", "stages": stages}))


def test_mixtures_of_stages_distance_and_truth() -> None:
    every = {"shower": "dbscan", "track": "tracks", "michel": "truth", "delta": "tracks"}
    assert experiment(every).stages["fragments"].model["providers"] == every
    assert experiment({"track": "tracks"}, classes=["track"])


@pytest.mark.parametrize(
    ("providers", "needs", "message"),
    [
        ({"track": "traks"}, None, r"model.providers.track: traks: no such stage among those whose predictions are"),
        ({"track": "tracks"}, {"uresnet": ["semantics"]}, r"needs.tracks.predictions: \[fragments, fragment_voxels\]"),
        (
            {"track": "uresnet"},
            None,
            r"'fragments': model.providers.track: uresnet: task 'segmentation' makes no",
        ),
        ({"shower": "tracks"}, None, r"shower: tracks: that stage makes fragments of track, delta, not of shower"),
    ],
)
def test_a_provider_that_does_not_make_the_class_is_refused(providers: Any, needs: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(providers, needs, classes=["track", "delta"])


def test_two_providers_of_one_class_are_refused() -> None:
    with pytest.raises(ConfigError, match="key 'track' is given twice"):
        parse_yaml("providers: {track: dbscan, shower: dbscan, track: graph_spice}")
