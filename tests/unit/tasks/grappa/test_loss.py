import numpy as np
import pytest
import torch
from grappa_events import nothing, two_interactions, two_showers
from torch.nn.functional import cross_entropy

from weft import tasks
from weft.engine.accumulation import totals
from weft.errors import WeftError
from weft.tasks.grappa.loss import berhu

EVERY = ["edge", "primary", "pid", "orientation", "momentum", "vertex"]


def built(instance: str = "shower", model=None, loss=None):
    return tasks.build("grappa", {"model": {"instance": instance, "width": 8, **(model or {})}, "loss": loss or {}})


def batch(task, *events):
    return task.collate([task.sample(e, (0, k), labels=True) for k, e in enumerate(events)])


def answers(task, made, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    widths = {"edge": 2, "primary": 2, "pid": 5, "orientation": 2, "momentum": 1, "vertex": 5}
    rows = {"edge": made.edge_index.shape[1]}
    return {head: torch.randn(rows.get(head, len(made.row)), widths[head]) for head in task.options.model.heads}


def test_cross_entropies_are_means_over_what_has_a_label() -> None:
    task = built()
    made = batch(task, two_showers())
    made.targets["edge"][:4] = -1
    made.targets["primary"][1] = -1
    given = answers(task, made)
    terms = task.loss(given, made)
    for head, kept in (("edge", slice(4, None)), ("primary", [0, 2, 3, 4, 5])):
        total, weight = terms[head]
        expected = cross_entropy(given[head][kept], made.targets[head][kept])
        torch.testing.assert_close(total / weight, expected)


def test_balance_gives_every_class_the_same_weight() -> None:
    task = built(loss={"primary": {"balance": True}})
    made = batch(task, two_showers())  # 2 primary nodes, 4 others
    given = answers(task, made)
    losses = cross_entropy(given["primary"], made.targets["primary"], reduction="none")
    first = made.targets["primary"] == 1
    total, weight = task.loss(given, made)["primary"]
    torch.testing.assert_close(total / weight, (losses[first].mean() + losses[~first].mean()) / 2)


@pytest.mark.parametrize("target", ["group", "forest", "particle_forest"])
@pytest.mark.parametrize("balance", [False, True])
def test_weights_before_the_output_are_those_after_it(target: str, balance: bool) -> None:
    loss = {"edge": {"target": target, "balance": balance}, "vertex": {"weight": 0.3}}
    task = built("interaction", {"heads": EVERY}, loss)
    batches = [batch(task, two_interactions(0)), batch(task, nothing(), two_interactions(1), two_interactions(2))]
    counts, weights = totals(task, batches)
    after = [task.loss(answers(task, b, k), b, counts) for k, b in enumerate(batches)]
    assert set(weights) == set(after[0])
    for name, weight in weights.items():
        assert weight.item() == pytest.approx(sum(float(terms[name][1]) for terms in after), rel=1e-6)
        assert weight > 0


def test_micro_batches_have_the_loss_of_the_whole() -> None:
    task = built("interaction", loss={"edge": {"balance": True}})
    events = [two_interactions(k) for k in range(3)]
    whole, parts = batch(task, *events), [batch(task, e) for e in events]
    given = answers(task, whole)
    nodes, edges = whole.node_offsets.tolist(), whole.edge_offsets.tolist()
    counts, weights = totals(task, parts)
    expected = task.loss(given, whole)
    for name, (total, weight) in expected.items():
        found = 0.0
        for k, part in enumerate(parts):
            at = {
                h: v[edges[k] : edges[k + 1]] if h == "edge" else v[nodes[k] : nodes[k + 1]] for h, v in given.items()
            }
            found += float(task.loss(at, part, counts)[name][0])
        assert found / float(weights[name]) == pytest.approx(float(total / weight), rel=1e-5)


def test_the_forest_is_the_tree_that_the_network_likes_best() -> None:
    task = built(loss={"edge": {"target": "forest"}})
    made = batch(task, two_showers())
    on = torch.zeros(30)
    a, b = made.edge_index
    liked = {(0, 1): 3.0, (1, 2): 2.0, (0, 2): 1.0, (3, 5): 3.0, (4, 5): 2.0, (3, 4): 1.0}
    for (i, j), value in liked.items():
        on[((a == i) & (b == j)) | ((a == j) & (b == i))] = value
    logits = torch.stack([torch.zeros(30), on], 1)
    target = torch.full((30,), -1)
    target[(a < 3) != (b < 3)] = 0
    for i, j in ((0, 1), (1, 2), (3, 5), (4, 5)):
        target[((a == i) & (b == j)) | ((a == j) & (b == i))] = 1
    given = {**answers(task, made), "edge": logits}
    total, weight = task.loss(given, made)["edge"]
    assert weight == (target >= 0).sum()
    torch.testing.assert_close(total / weight, cross_entropy(logits, target, ignore_index=-1))


def test_primaries_of_predicted_groups() -> None:
    task = built(loss={"primary": {"predicted_groups": True}})
    made = batch(task, two_showers())
    a, b = made.edge_index
    together = ((a < 3) & (b < 3)) | ((a >= 4) & (b >= 4))  # node 3, a primary, is alone; 4 and 5 have none
    given = {**answers(task, made), "edge": torch.stack([torch.zeros(30), torch.where(together, 9.0, -9.0)], 1)}
    total, weight = task.loss(given, made)["primary"]
    assert weight == 4
    expected = cross_entropy(given["primary"][:4], torch.tensor([1, 0, 0, 1]))
    torch.testing.assert_close(total / weight, expected)
    with pytest.raises(WeftError, match="predicted_groups: which nodes are judged depends on the output"):
        task.weights(made, None)


def test_reverse_huber_by_hand() -> None:
    residual = torch.tensor([0.5, -1.0, 3.0, -10.0])  # c = 2
    torch.testing.assert_close(berhu(residual), torch.tensor([0.5, 1.0, (9 + 4) / 4, (100 + 4) / 4]))
    assert berhu(torch.zeros(0)).shape == (0,)
    torch.testing.assert_close(berhu(torch.zeros(2)), torch.zeros(2))


def test_momentum_is_in_its_unit_and_unknown_ones_are_left_out() -> None:
    task = built("interaction", {"heads": ["momentum"], "momentum_unit": 50.0})
    made = batch(task, two_interactions())
    made.targets["momentum"][0] = torch.nan
    given = {"momentum": torch.zeros(6, 1)}
    total, weight = task.loss(given, made)["momentum"]
    assert weight == 5
    torch.testing.assert_close(total, berhu(-made.targets["momentum"][1:] / 50).sum())


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("anchor", ["start", "origin"])
def test_the_right_vertex_costs_nothing_and_another_its_squared_distance(normalise: bool, anchor: str) -> None:
    model = {"heads": ["vertex"], "vertex_normalise": normalise, "vertex_anchor": anchor}
    task = built("interaction", model)
    made = batch(task, two_interactions())
    unit = 100.0 if normalise else 1.0
    origin = made.start if anchor == "start" else torch.zeros(6, 3)
    right = torch.cat([torch.zeros(6, 2), (made.targets["vertex"] - origin) / unit], 1)
    total, weight = task.loss({"vertex": right}, made)["vertex"]
    assert weight == 6
    assert total.item() == pytest.approx(0, abs=1e-4)
    moved = right + torch.tensor([0, 0, 3.0, 0, 4.0]) / unit
    total, weight = task.loss({"vertex": moved}, made)["vertex"]
    assert (total / weight).item() == pytest.approx(25 / unit**2 / 2, rel=1e-3)
    np.testing.assert_allclose(
        task.decode({"vertex": right}, made)[0]["interaction_vertex"][:, 1:], made.targets["vertex"] * 0.3, atol=1e-3
    )


@pytest.mark.parametrize("normalise", [False, True])
def test_the_vertex_counts_from_the_end_that_the_answer_is_nearest_to(normalise: bool) -> None:
    model = {"heads": ["vertex"], "vertex_normalise": normalise, "vertex_anchor": "nearest"}
    task = built("interaction", model)
    made = batch(task, two_interactions())
    unit = 100.0 if normalise else 1.0
    for answer in (made.start, made.end):
        expected = 2 * answer * 0.3  # the answer is the end itself, so it is counted twice
        given = {"vertex": torch.cat([torch.zeros(6, 2), answer / unit], 1)}
        np.testing.assert_allclose(task.decode(given, made)[0]["interaction_vertex"][:, 1:], expected, atol=1e-3)
        total, weight = task.loss(given, made)["vertex"]
        square = (2 * answer - made.targets["vertex"]).square().sum(1).mean() / unit**2
        assert (total / weight).item() == pytest.approx(square.item() / 2, rel=1e-3)


def test_weights_of_terms_scale_them() -> None:
    plain, scaled = built("interaction"), built("interaction", loss={"pid": {"weight": 0.25}, "edge": {"weight": 2.0}})
    made = batch(plain, two_interactions())
    given = answers(plain, made)
    a, b = plain.loss(given, made), scaled.loss(given, made)
    for name, factor in (("pid", 0.25), ("edge", 2.0), ("primary", 1.0)):
        torch.testing.assert_close(factor * a[name][0], b[name][0])
        torch.testing.assert_close(a[name][1], b[name][1])


def test_nothing_to_learn_from_has_weight_zero() -> None:
    task = built("interaction", {"heads": EVERY})
    made = batch(task, nothing())
    for total, weight in task.loss(answers(task, made), made).values():
        assert float(total) == float(weight) == 0.0
