import subprocess
import sys

import numpy as np
import pytest
import torch
from grappa_events import event, line, nothing, one_shower, particle, two_interactions, two_showers

from weft import tasks
from weft.engine.task import Sample

EVERY = ["edge", "primary", "pid", "orientation", "momentum", "vertex"]


def built(instance: str = "shower", loss=None, data=None, **model):
    return tasks.build(
        "grappa", {"model": {"instance": instance, "width": 16, **model}, "loss": loss or {}, "data": data or {}}
    )


def batch(task, *events, labels: bool = True):
    return task.collate([task.sample(e, (0, k), labels) for k, e in enumerate(events)])


def perfect(task, made) -> dict[str, torch.Tensor]:
    """Answers that are right wherever the truth is known."""

    def logits(target: torch.Tensor, classes: int) -> torch.Tensor:
        return 20.0 * torch.nn.functional.one_hot(target.clamp(min=0), classes).float()

    sizes = {"edge": 2, "primary": 2, "pid": 5, "orientation": 2}
    answers = {head: logits(made.targets[head], n) for head, n in sizes.items() if head in task.options.model.heads}
    if "momentum" in task.options.model.heads:
        answers["momentum"] = made.targets["momentum"][:, None] / task.options.model.momentum_unit
    if "vertex" in task.options.model.heads:
        offset = (made.targets["vertex"] - made.start) / 100
        answers["vertex"] = torch.cat([logits(made.targets["begins"], 2), offset], 1)
    return answers


@pytest.mark.parametrize("instance", ["shower", "track", "particle", "interaction"])
def test_right_answers_give_the_true_products(instance: str) -> None:
    heads = {"interaction": EVERY, "particle": ["edge", "primary"], "shower": ["edge", "primary"], "track": ["edge"]}
    task = built(instance, heads=heads[instance])
    events = [two_interactions() if instance == "interaction" else two_showers(), nothing(), one_shower()]
    made = batch(task, *events)
    for products, true in zip(task.decode(perfect(task, made), made), events, strict=True):
        for schema in task.makes:
            schema.conform(products[schema.name], "prediction")
            if not schema.name.endswith("_edges"):
                expected = true[f"truth/{schema.name}"] if instance != "track" or "groups" in schema.name else None
                np.testing.assert_allclose(products[schema.name], expected, rtol=1e-3, atol=1e-3, err_msg=schema.name)


def test_pairs_are_given_once_with_the_mean_of_both_directions() -> None:
    task = built(grouping="threshold", threshold=0.6)
    made = batch(task, nothing(), two_showers())
    on = torch.zeros(30)
    on[::2], on[1::2] = 1.0, -1.0
    answers = {"edge": torch.stack([torch.zeros(30), on], 1), "primary": torch.zeros(6, 2)}
    pairs = task.decode(answers, made)[1]["shower_edges"]
    assert len(pairs) == 15
    assert (pairs["source"] < pairs["target"]).all()
    np.testing.assert_allclose(pairs["score"], 0.5, rtol=1e-6)
    # A direction with 0.73 is above the threshold.
    assert (task.decode(answers, made)[1]["shower_groups"][:6] == 0).all()


def test_what_takes_no_part_is_in_no_group_and_has_no_score() -> None:
    task = built(min_size=8)
    products = task.decode(perfect(task, batch(task, two_showers())), batch(task, two_showers()))[0]
    assert (products["shower_groups"] == -1).all()
    assert np.isnan(products["shower_primary"]).all()
    assert len(products["shower_edges"]) == 0


def test_orientation_is_that_of_the_ends_in_the_product() -> None:
    there, back = line((10, 10, 10), (40, 10, 10)), line((10, 40, 10), (40, 40, 10))[::-1]
    made = event([particle(there, 1, 13), particle(back, 1, 13)])
    task = built("interaction", heads=["orientation"])
    samples = batch(task, made)
    assert samples.swapped.tolist() == [False, True]
    assert samples.targets["orientation"].tolist() == [1, 0]
    score = task.decode(perfect(task, samples), samples)[0]["interaction_orientation"]
    np.testing.assert_allclose(score, 1.0)
    given = built("interaction", heads=["orientation"], data={"order": "given"})
    assert batch(given, made).targets["orientation"].tolist() == [1, 1]


def test_a_node_that_is_no_track_is_joined_to_one_track_at_most() -> None:
    made = event([particle(line((0, y, 0), (30, y, 0)), shape, 13) for y, shape in ((0, 1), (10, 3), (20, 1))])
    pairs = {"kind": "complete", "max_length": None}
    found = []
    for through_track in (False, True):
        task = built("interaction", heads=["edge"], through_track=through_track, graph=pairs)
        samples = batch(task, made)
        a, b = samples.edge_index
        tracks = (a != 1) & (b != 1)
        answers = {"edge": torch.where(tracks[:, None], torch.tensor([0.0, -1.0]), torch.tensor([0.0, 3.0]))}
        found.append(task.decode(answers, samples)[0]["interaction_groups"][:, 0].tolist())
    assert found[0] == [0, 0, 0]
    assert len(set(found[1])) == 2
    assert found[1][0] != found[1][2]


def test_a_bipartite_graph_groups_by_the_best_primary() -> None:
    task = built(graph={"kind": "bipartite", "primaries": "shower_primary", "max_length": None})
    made = batch(task, two_showers())
    products = task.decode(perfect(task, made), made)[0]
    assert products["shower_groups"][:, 0].tolist() == [0, 0, 0, 3, 3, 3, -1]


def test_a_sample_without_labels_predicts_the_same() -> None:
    torch.manual_seed(0)
    task = built("interaction")
    network = task.network().eval()
    with torch.inference_mode():
        a = task.predict(network, batch(task, two_interactions()))[0]
        b = task.predict(network, batch(task, two_interactions(), labels=False))[0]
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("network", ["meta", "nnconv"])
@pytest.mark.parametrize("instance", ["shower", "interaction"])
def test_it_can_learn_a_handful_of_events_by_heart(instance: str, network: str) -> None:
    torch.manual_seed(0)
    task = built(instance, network=network, heads=["edge", "primary"] if instance == "shower" else EVERY)
    events = [two_showers(), one_shower()] if instance == "shower" else [two_interactions(k) for k in range(3)]
    model, made = task.network(), batch(task, *events)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = last = 0.0
    for step in range(120):
        optimizer.zero_grad()
        loss = sum(total / weight.clamp(min=1) for total, weight in task.loss(model(made), made).values())
        loss.backward()
        optimizer.step()
        first, last = (float(loss.detach()) if step == 0 else first), float(loss.detach())
    assert last < 0.05 * first
    for products, true in zip(task.predict(model, made), events, strict=True):
        groups = products[f"{instance}_groups"]
        np.testing.assert_array_equal(groups, true[f"truth/{instance}_groups"])
        known = np.isfinite(true[f"truth/{instance}_primary"])
        np.testing.assert_array_equal(
            products[f"{instance}_primary"][known] > 0.5, true[f"truth/{instance}_primary"][known] > 0.5
        )


def test_the_task_is_importable_without_torch() -> None:
    code = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "torch_geometric"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
from weft import tasks
task = tasks.build("grappa", {})
task.makes, task.baseline(), task.summary, task.reads, task.headline
import weft.tasks.grappa.score, weft.tasks.grappa.figures
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_empty_batch_of_voxels_makes_products_of_no_rows() -> None:
    task = built("interaction", heads=EVERY)
    model = task.network().eval()
    sample: Sample = task.sample(nothing(), (0, 0), labels=False)
    with torch.inference_mode():
        products = task.predict(model, task.collate([sample, sample]))
    assert len(products) == 2
    for schema in task.makes:
        assert len(schema.conform(products[0][schema.name], "prediction")) == 0
