"""The candidates task: true groups give true candidates, the baseline joins what is near, low-energy voxels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from grappa_events import Event, event, line, particle, shower, two_showers

from weft import tasks
from weft.config.loading import ConfigError
from weft.errors import WeftError
from weft.io.products import EVENT_DTYPE, LOW_ENERGY, SHOWER, TRACK
from weft.io.reco_products import CANDIDATES
from weft.tasks.candidates.baseline import DistanceBaseline
from weft.tasks.candidates.score import with_low_energy


def task(**model: Any) -> Any:
    return tasks.build("candidates", {"model": model})


class InMemory:
    """Events and what was predicted for each, as scoring reads them."""

    def __init__(self, events: list[Event], predicted: list[Mapping[str, Any]]) -> None:
        self._events, self._predicted = events, predicted
        self.events = np.zeros(len(events), EVENT_DTYPE)
        self.events["uid"] = np.arange(len(events))

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, name: str) -> list[Any]:
        if name.startswith("prediction/"):
            return [one[name.removeprefix("prediction/")] for one in self._predicted]
        return [one[name] for one in self._events]


def summary(built: Any, events: list[Event], predict: Any) -> dict[str, float]:
    scores = built.score(InMemory(events, [predict(one) for one in events]), "test", "0000")
    result: dict[str, float] = built.summary(scores.events)
    return result


def test_true_groups_give_the_true_candidates():
    given = two_showers()
    made = task().predict_event(given)
    for name in CANDIDATES.dtype.names or ():
        np.testing.assert_allclose(made["candidates"][name], given["truth/candidates"][name], rtol=1e-6)
    for name in ("candidate_voxels", "candidate_fragments"):
        np.testing.assert_array_equal(made[name].values, given[f"truth/{name}"].values)
        np.testing.assert_array_equal(made[name].offsets, given[f"truth/{name}"].offsets)
    found = summary(task(), [given], task().predict_event)
    assert [found[name] for name in ("ari", "purity", "efficiency", "sbd")] == [1.0] * 4


def test_fragments_without_groups_are_candidates_by_themselves():
    given = two_showers()
    assert len(task(groups=[], primary=[]).predict_event(given)["candidates"]) == len(given["fragments"]) == 7
    assert len(task(groups=["shower"]).predict_event(given)["candidates"]) == 3
    assert len(task(groups=["particle"], primary=["particle"]).predict_event(given)["candidates"]) == 3


def test_options_that_do_not_fit():
    with pytest.raises(ConfigError, match="primary: shower is not one of the groups track"):
        task(groups=["track"])
    with pytest.raises(ConfigError, match="particle takes all fragments"):
        task(groups=["particle", "track"], primary=[])
    with pytest.raises(ConfigError, match="groups: each instance once"):
        task(groups=["shower", "shower"])


def test_what_is_read():
    products = ("fragments", "fragment_voxels", "voxels", "charge", "meta")
    assert task().reads == (*products, "shower_groups", "track_groups", "shower_primary")
    assert task(groups=["track"], primary=[], low_energy="attach").reads == (*products, "track_groups", "semantics")


def low_energy_event() -> Event:
    """A shower of two fragments, a scatter beside it that is part of it, and one of another particle far away."""
    return event(
        [
            *shower((10, 10, 10), 0, pieces=2),
            particle(np.array([[32, 10, 10], [33, 10, 10]]), LOW_ENERGY, 11, group=0),
            particle(np.array([[80, 80, 80]]), LOW_ENERGY, 2112),
        ]
    )


def test_low_energy_voxels_of_the_truth():
    given = low_energy_event()
    products = {name: given[f"truth/{name}"] for name in ("voxels", "semantics", "clusters", "particles", "meta")}
    n = len(given["voxels"])
    labels = np.where(given["semantics"][:, 0] == SHOWER, 0, -1)
    found = with_low_energy(products, labels)
    faint = given["semantics"][:, 0] == LOW_ENERGY
    assert sorted(found[faint].tolist())[:2] == [0, 0]
    assert sorted(found[faint].tolist())[2] > 0
    assert (found[~faint] == 0).all()
    assert len(found) == n


def test_low_energy_dropped_or_attached():
    given = low_energy_event()
    dropped, attached = (task(low_energy=name) for name in ("drop", "attach"))
    assert summary(dropped, [given], dropped.predict_event)["voxel_efficiency"] == 1.0
    near = summary(attached, [given], attached.predict_event)
    total = len(given["voxels"])
    assert near["voxel_efficiency"] == pytest.approx((total - 1) / total)  # the far one is left alone
    assert "ari_low_energy" in near
    far = task(low_energy="attach", attach_distance=1000.0)
    assert summary(far, [given], far.predict_event)["voxel_purity"] == pytest.approx((total - 1) / total)


def test_the_baseline_joins_what_is_near(tmp_path):
    built = tasks.build("candidates", {"baseline": {"distances": [0.0, 2.0, 8.0, 60.0]}})
    events = [two_showers() for _ in range(3)]
    baseline = built.baseline()
    with pytest.raises(WeftError, match="has not been fitted"):
        baseline.predict(events[0])
    baseline.fit(iter(events), 0)
    assert baseline.chosen == {"shower": 8.0, "track": 0.0}  # pieces are 6 voxels apart, showers more than 50
    assert summary(built, events, baseline.predict)["ari"] == 1.0
    baseline.save(tmp_path / "model.ckpt")
    loaded = built.load_baseline(tmp_path / "model.ckpt")
    assert isinstance(loaded, DistanceBaseline)
    assert loaded.chosen == baseline.chosen
    for name in ("candidates", "candidate_voxels", "candidate_fragments"):
        first, second = loaded.predict(events[0])[name], baseline.predict(events[0])[name]
        np.testing.assert_array_equal(getattr(first, "values", first), getattr(second, "values", second))
    with pytest.raises(WeftError, match="cannot be read"):
        DistanceBaseline.load(tmp_path / "none")


def test_the_distance_itself_is_near_enough():
    pieces = [
        particle(line((10, 10, 10), (14, 10, 10)), SHOWER, 11, group=0),
        particle(line((18, 10, 10), (22, 10, 10)), SHOWER, 11, group=0),
    ]
    built = tasks.build("candidates", {"baseline": {"distances": [4.0]}})
    baseline = built.baseline()
    baseline.fit([event(pieces)], 0)
    assert len(baseline.predict(event(pieces))["candidates"]) == 1
    built = tasks.build("candidates", {"baseline": {"distances": [3.9]}})
    baseline = built.baseline()
    baseline.fit([event(pieces)], 0)
    assert len(baseline.predict(event(pieces))["candidates"]) == 2


def test_nothing_and_one_voxel():
    for given in (event([]), event([particle(np.array([[4, 4, 4]]), TRACK, 13)])):
        n = len(given["voxels"])
        built = task(low_energy="attach")
        assert len(built.predict_event(given)["candidates"]) == n
        baseline = built.baseline()
        baseline.fit([given], 0)
        assert len(baseline.predict(given)["candidates"]) == n
        assert summary(built, [given], built.predict_event)
    assert tasks.build("candidates", {}).headline == ("ari", "purity", "efficiency")
