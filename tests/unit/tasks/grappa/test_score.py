from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from grappa_events import nothing, one_shower, two_interactions, two_showers

from weft import tasks
from weft.errors import WeftError
from weft.io.products import EVENT_DTYPE
from weft.metrics.clustering import ari
from weft.metrics.scores import Scores, pool
from weft.tasks.grappa.baseline import GrappaBaseline
from weft.tasks.grappa.reach import Pairs, fit_reach

EVERY = ["edge", "primary", "pid", "orientation", "momentum", "vertex"]


class Store:
    """Events in memory, with predictions."""

    def __init__(self, events, predictions) -> None:
        self._events, self._predictions = events, predictions
        self.events = np.zeros(len(events), EVENT_DTYPE)
        self.events["uid"] = np.arange(len(events))

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str):
        if name.startswith("prediction/"):
            return [p[name.removeprefix("prediction/")] for p in self._predictions]
        return [e[name] for e in self._events]


def built(instance: str, heads=EVERY):
    return tasks.build("grappa", {"model": {"instance": instance, "heads": heads}, "baseline": {"min_leaf": 1}})


def truth(task, event) -> dict[str, np.ndarray]:
    """What is true, as if predicted."""
    products = {}
    for schema in task.makes:
        if schema.name.endswith("_edges"):
            groups = event[f"truth/{schema.name.replace('edges', 'groups')}"][:, 0]
            a, b = np.triu_indices(len(groups), 1)
            products[schema.name] = np.zeros(len(a), schema.dtype)
            products[schema.name]["source"], products[schema.name]["target"] = a, b
            products[schema.name]["score"] = groups[a] == groups[b]
        else:
            products[schema.name] = event[f"truth/{schema.name}"].copy()
    return products


def test_the_truth_has_the_best_scores() -> None:
    task = built("interaction")
    events = [two_interactions(k) for k in range(3)]
    found = task.summary(task.score(Store(events, [truth(task, e) for e in events]), "test", "0").events)
    for name in ("ari", "purity", "efficiency", "edge_accuracy", "edge_recall", "primary_accuracy", "pid_accuracy",
                 "pid_mean_recall", "orientation_accuracy", "vertex_within_1cm"):  # fmt: skip
        assert found[name] == 1, name
    for name in ("momentum_error", "momentum_bias", "vertex_distance"):
        assert found[name] == pytest.approx(0, abs=1e-4), name


def test_mistakes_are_counted_one_by_one() -> None:
    task = built("interaction")
    event = two_interactions()
    said = truth(task, event)
    said["interaction_primary"][0] = 0.4
    said["interaction_pid"][1] = np.eye(5)[3]
    said["interaction_orientation"][0] = 0.2
    said["interaction_momentum"][0] *= 1.5
    said["interaction_vertex"][2, 1:] += np.array([2.0, 0, 0])
    said["interaction_edges"]["score"][0] = 0.1  # 0 and 1 belong together
    found = task.summary(task.score(Store([event], [said]), "test", "0").events)
    assert found["primary_accuracy"] == pytest.approx(5 / 6)
    assert found["pid_accuracy"] == pytest.approx(5 / 6)
    assert found["pid_recall_proton"] == 0.5
    assert found["orientation_accuracy"] == 0.75
    assert found["momentum_error"] == found["momentum_bias"] == pytest.approx(0.5 / 6)
    assert found["vertex_distance"] == pytest.approx(2 / 6, rel=1e-4)
    assert (found["vertex_within_1cm"], found["vertex_within_3cm"]) == (pytest.approx(5 / 6), 1)
    assert found["edge_accuracy"] == pytest.approx(14 / 15)
    assert found["edge_recall"] == pytest.approx(5 / 6)
    assert found["ari"] == 1


def test_groups_are_judged_by_voxels_and_their_primaries_by_group() -> None:
    task = built("shower", ["edge", "primary"])
    event = two_showers()
    said = truth(task, event)
    said["shower_groups"][2] = 2  # one fragment of the first shower is left out
    said["shower_primary"][4] = 1.5  # the wrong node of the second shower stands out
    scores = task.score(Store([event, nothing()], [said, truth(task, nothing())]), "test", "0")
    found = task.summary(scores.events)
    expected = ari(np.repeat([0, 0, 0, 1, 1, 1], 7), np.repeat([0, 0, 2, 1, 1, 1], 7))
    assert found["ari"] == pytest.approx(expected)
    assert found["efficiency"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["primary_groups"] == pytest.approx(1 / 3)  # groups 0, 1, 2 and 3, 4, 5 and 2 alone
    assert len(scores.events) == 2


def test_nodes_left_alone_are_groups_of_their_own() -> None:
    task = built("shower", ["edge"])
    said = truth(task, two_showers())
    said["shower_groups"][:] = -1
    found = task.summary(task.score(Store([two_showers()], [said]), "test", "0").events)
    assert found["purity"] == 1
    assert found["efficiency"] == pytest.approx(1 / 3)


def test_nothing_is_nan_and_not_a_score() -> None:
    task = built("interaction")
    scores = task.score(Store([nothing()], [truth(task, nothing())]), "test", "0")
    assert all(np.isnan(value) for value in task.summary(scores.events).values())


def test_metrics_of_many_rows_are_those_of_each() -> None:
    task = built("interaction")
    events = [two_interactions(k) for k in range(2)]
    said = [truth(task, e) for e in events]
    said[1]["interaction_primary"][:] = 0.0
    table = task.score(Store(events, said), "test", "0").events
    each = task.metrics(table)
    assert each["primary_accuracy"].tolist() == [1, 0]
    pd.testing.assert_frame_equal(each.iloc[[0]], task.metrics(pool(table.iloc[[0]])).set_index(each.index[:1]))


# --- baseline ---------------------------------------------------------------------------------------------------


def test_reach_is_the_distance_that_tells_groups_apart() -> None:
    """Nodes of one class in a row, 5 apart within a group and 20 between groups."""
    rng = np.random.default_rng(0)
    events = []
    for _ in range(5):
        label = np.sort(rng.integers(0, 3, 8))
        at = np.arange(8) * 5.0 + label * 15.0
        a, b = np.triu_indices(8, 1)
        distance = np.abs(at[a] - at[b])
        events.append(
            Pairs(label, np.full(8, 10), np.stack([a, b], 1), np.zeros(28, int), np.stack([distance, distance[::-1]]))
        )
    reach = fit_reach(events, 24, 1)
    assert reach.measure == 0
    assert 5 < reach.distance[0, 0] <= 20


def test_the_fit_uses_the_adjusted_rand_index() -> None:
    from weft.tasks.grappa.reach import _Together

    rng = np.random.default_rng(1)
    for _ in range(30):
        n = int(rng.integers(1, 9))
        label, size = rng.integers(-1, 3, n), rng.integers(1, 20, n)
        a, b = np.triu_indices(n, 1)
        distance = rng.uniform(0, 10, (2, len(a)))
        found = _Together([Pairs(label, size, np.stack([a, b], 1), np.zeros(len(a), int), distance)])
        group = np.arange(n)
        for i, j, d in zip(a, b, distance[0], strict=True):
            if d < 4:
                group[group == group[j]] = group[i]
        expected = ari(np.repeat(label, size), np.repeat(group, size))
        assert found.mean_ari(np.full((4, 4), 4.0), 0) == pytest.approx(0.0 if np.isnan(expected) else expected)


@pytest.mark.parametrize(("instance", "heads"), [("shower", ["edge", "primary"]), ("interaction", EVERY)])
def test_the_baseline_learns_what_is_there_to_learn(tmp_path: Path, instance: str, heads: list[str]) -> None:
    task = built(instance, heads)
    make = (lambda k: two_showers()) if instance == "shower" else two_interactions
    baseline = task.baseline()
    with pytest.raises(WeftError, match="has not been fitted"):
        baseline.predict(nothing())
    baseline.fit((make(k) for k in range(12)), seed=0)
    baseline.save(tmp_path / "baseline")
    again = task.load_baseline(tmp_path / "baseline")
    events = [make(100), nothing(), one_shower()]
    predictions = [baseline.predict(e) for e in events]
    for said, other in zip(predictions, (again.predict(e) for e in events), strict=True):
        for schema in task.makes:
            schema.conform(said[schema.name], "baseline")
            np.testing.assert_array_equal(said[schema.name], other[schema.name])
    found = task.summary(task.score(Store(events[:1], predictions[:1]), "test", "0").events)
    assert found["ari"] == 1
    assert found["primary_accuracy"] == 1
    if instance == "interaction":
        assert found["pid_accuracy"] == 1
        assert found["vertex_distance"] < 3
    assert again.fitted_on == {"events": 12, "nodes": baseline.fitted_on["nodes"], "seed": 0}


@pytest.mark.parametrize("graph", [{"max_length": 200.0}, {"kind": "knn", "neighbours": 1, "max_length": None}])
def test_the_baseline_judges_the_pairs_of_the_network(graph: dict[str, Any]) -> None:
    model = {"instance": "interaction", "heads": ["edge"], "graph": graph}
    task = tasks.build("grappa", {"model": model})
    baseline = task.baseline()
    baseline.fit((two_interactions(k) for k in range(4)), seed=0)
    event = two_interactions(100)
    said = baseline.predict(event)
    batch = task.collate([task.sample(event, (0, 0), labels=False)])
    expected = np.sort(batch.row[batch.edge_index[:, ::2]].numpy().T, axis=1)
    edges = said["interaction_edges"]
    assert len(edges) > 0
    pairs = np.stack([edges["source"], edges["target"]], axis=1)
    np.testing.assert_array_equal(pairs, expected[np.lexsort((expected[:, 1], expected[:, 0]))])
    group = said["interaction_groups"][:, 0]
    together = group[edges["source"]] == group[edges["target"]]
    np.testing.assert_array_equal(edges["score"] > 0.5, together)
    if graph["max_length"]:  # pairs far apart are judged too: they are in two groups for certain
        assert (edges["score"] == 0).any()
    found = task.summary(task.score(Store([event], [said]), "test", "0").events)
    assert found["ari"] == found["edge_accuracy"] == 1


def test_the_baseline_is_fitted_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, int]] = []

    def watched(events: list[Pairs], grid: int, passes: int) -> object:
        tried.append((grid, passes))
        return fit_reach(events, grid, passes)

    monkeypatch.setattr("weft.tasks.grappa.baseline.fit_reach", watched)
    options = {"grid": 5, "passes": 3, "events": 4, "iterations": 7, "learning_rate": 0.3, "leaves": 4, "min_leaf": 2}
    task = tasks.build("grappa", {"model": {"instance": "shower"}, "baseline": options})
    baseline = task.baseline()
    baseline.fit((two_showers() for _ in range(9)), seed=0)
    assert tried == [(5, 3)]
    assert baseline.fitted_on["events"] == 4
    trees = baseline.trees["primary"]
    assert (trees.n_iter_, trees.learning_rate, trees.max_leaf_nodes, trees.min_samples_leaf) == (7, 0.3, 4, 2)


def test_files_that_are_no_baseline_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeftError, match="cannot be read"):
        GrappaBaseline.load(tmp_path / "none")
    (tmp_path / "other").write_text("{}\n")
    with pytest.raises(WeftError, match="not a fitted grappa baseline"):
        GrappaBaseline.load(tmp_path / "other")


# --- figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("instance", "heads"), [("shower", ["edge", "primary"]), ("interaction", EVERY)])
def test_figures_of_a_model_beside_the_baseline(instance: str, heads: list[str]) -> None:
    task = built(instance, heads)
    events = [two_interactions(k) if instance == "interaction" else two_showers() for k in range(6)]
    right = [truth(task, e) for e in events]
    wrong = [truth(task, e) for e in events]
    for said in wrong[:4]:
        said[f"{instance}_groups"][:] = 0
        said[f"{instance}_primary"][0] = 0.0
    scores: dict[str, Scores] = {
        "seed0": task.score(Store(events, right), "test", "0"),
        "baseline": task.score(Store(events, wrong), "test", "0"),
    }
    figures = {figure.key: figure for figure in task.figures(scores, "test")}
    assert {"overall", "classes", "ari", "answers"} <= set(figures)
    assert ("pid" in figures) == (instance == "interaction")
    rows = figures["answers"].table.set_index("metric")
    row = rows.loc["nodes, primary or not, told rightly"]
    assert row["model"] == "1.0000"
    assert float(row["baseline"]) == pytest.approx(1 - 4 / 36, abs=1e-3)
