import numpy as np
import pytest
import torch
from grappa_events import nothing, one_shower, two_interactions, two_showers
from torch import nn

from weft import tasks
from weft.tasks.grappa import layers
from weft.tasks.grappa.layers import GraphNorm, NodeUpdate, Perceptron
from weft.tasks.grappa.network import voxels_of

NETWORKS = {
    "meta": {},
    "nnconv": {"network": "nnconv", "width": 8},
    "attention": {"attention": True},
    "layer norm": {"norm": "layer"},
    "mean": {"reduction": "mean"},
    "add": {"reduction": "add"},
    **{name: {"node_layer": name} for name in ("nnconv", "econv", "gatconv", "agnnconv")},
    "layer nnconv": {"node_layer": "nnconv"},
    "cnn": {"encoder": "cnn", "cnn": {"filters": 4, "depth": 2}},
    "mixed": {"encoder": "mixed", "cnn": {"filters": 4, "depth": 2}},
    "edge cnn": {"edge_encoder": "cnn", "edge_cnn": {"filters": 4, "depth": 2}},
    "all cnn": {"encoder": "cnn", "edge_encoder": "mixed", "cnn": {"filters": 4, "depth": 1}},
}
NETWORKS["nnconv"] = {"network": "nnconv", "width": 8}


def built(instance: str = "shower", **model):
    return tasks.build("grappa", {"model": {"instance": instance, "width": 16, **model}})


def batch(task, *events):
    return task.collate([task.sample(e, (0, k), labels=True) for k, e in enumerate(events)])


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_modular_nnconv_has_the_layers_of_2020() -> None:
    """Round 1: 16 node and 19 edge features to 64; rounds 2 and 3: 64 to 64; two heads of two numbers."""

    def norm(n: int) -> int:
        return 2 * n

    def linear(a: int, b: int) -> int:
        return a * b + b

    def one_round(n: int, e: int) -> int:
        theta = norm(e) + linear(e, n) + norm(n) + linear(n, n) + norm(n) + linear(n, 64 * n)
        update = norm(128 + e) + linear(128 + e, 64) + norm(64) + linear(64, 64) + norm(64) + linear(64, 64)
        return norm(n) + theta + linear(n, 64) + update

    task = tasks.build("grappa", {"model": {"network": "nnconv", "features": 16}})
    assert parameters(task.network()) == one_round(16, 19) + 2 * one_round(64, 64) + 2 * linear(64, 2)


def test_meta_has_the_layers_of_spine() -> None:
    def perceptron(n: int) -> int:
        return n * 64 + 2 * 64 * 64 + 3 * (64 + 128)

    def one_round(n: int, e: int) -> int:
        return perceptron(2 * n + e) + perceptron(n + 64) + perceptron(n + 64)

    first = perceptron(2 * 33 + 19) + perceptron(33 + 64) + perceptron(33 + 64)
    expected = 2 * (33 + 19) + first + 2 * one_round(64, 64) + 2 * (64 * 2 + 2)
    assert parameters(tasks.build("grappa", {}).network()) == expected
    # Nobody asks for nodes: the last round leaves them alone.
    only = tasks.build("grappa", {"model": {"heads": ["edge"]}}).network()
    assert parameters(only) == expected - 2 * perceptron(128) - (64 * 2 + 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_graphs_of_no_and_of_one_node_are_no_special_case(name: str) -> None:
    task = built(**NETWORKS[name])
    for events in ((nothing(),), (one_shower(),), (nothing(), one_shower(), two_showers())):
        made = batch(task, *events)
        network = task.network()
        answers = network(made)
        assert answers["edge"].shape == (made.edge_index.shape[1], 2)
        assert answers["primary"].shape == (len(made.row), 2)
        assert all(a.isfinite().all() for a in answers.values())
        terms = task.loss(answers, made)
        sum(total for total, _ in terms.values()).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_do_not_depend_on_the_batch_or_on_the_order_of_nodes(name: str) -> None:
    torch.manual_seed(1)
    task = built("interaction", **NETWORKS[name])
    network = task.network()
    events = [two_interactions(k) for k in range(3)]
    network(batch(task, *events))  # so that running statistics are not trivial
    network.eval()
    with torch.inference_mode():
        together = network(batch(task, *events))
        single = [network(batch(task, e)) for e in events]
        for head, values in together.items():
            torch.testing.assert_close(values, torch.cat([s[head] for s in single]), atol=2e-5, rtol=2e-4)

        made = events[0]
        order = np.array([3, 0, 5, 1, 4, 2])
        items = made["candidate_voxels"]
        turned = made.fed(
            candidates=made["candidates"][order], candidate_voxels=type(items).of([items[k] for k in order])
        )
        a, b = batch(task, made), batch(task, turned)
        first, second = network(a), network(b)
        for head in ("primary", "pid", "orientation"):
            torch.testing.assert_close(second[head], first[head][order], atol=2e-5, rtol=2e-4)
        row = np.empty(6, int)
        row[order] = np.arange(6)
        pairs = {(row[i], row[j]): logits for i, j, logits in zip(*a.edge_index.tolist(), first["edge"], strict=True)}
        for i, j, logits in zip(*b.edge_index.tolist(), second["edge"], strict=True):
            torch.testing.assert_close(logits, pairs[i, j], atol=2e-5, rtol=2e-4)


def test_one_row_is_normalised_with_what_is_known_from_before() -> None:
    norm = GraphNorm(2)
    norm(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    x = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(norm(x), (x - mean) / (var + norm.eps).sqrt())
    assert torch.equal(norm.running_mean, mean)
    assert norm(torch.zeros(0, 2)).shape == (0, 2)


def test_attention_is_a_softmax_over_incoming_messages_in_float32() -> None:
    update = NodeUpdate(
        Perceptron(3, 4, 1, 0.1, nn.LayerNorm), Perceptron(6, 4, 1, 0.1, nn.LayerNorm), "add", 4, attention=True
    )
    assert update.gate is not None
    x, e = torch.randn(3, 2), torch.randn(3, 1)
    edges = torch.tensor([[0, 1, 0], [2, 2, 1]])
    messages = update.message(torch.cat([x[edges[0]], e], 1))
    logits = update.gate(messages)[:, 0]
    share = logits[:2].softmax(0)
    taken = torch.stack([torch.zeros(4), messages[2], share[0] * messages[0] + share[1] * messages[1]])
    torch.testing.assert_close(update(x, edges, e, None, None), update.update(torch.cat([x, taken], 1)))
    with torch.no_grad():
        update.gate.weight.mul_(1e5)  # would be infinite, hence NaN, in float16
    with torch.autocast("cpu", torch.float16):
        assert update(x, edges, e, None, None).isfinite().all()


@pytest.mark.parametrize("name", ["meta", "nnconv", "attention", "gatconv", "agnnconv"])
def test_bfloat16_gives_nearly_the_same(name: str) -> None:
    torch.manual_seed(0)
    task = built(**NETWORKS[name])
    made, network = batch(task, two_showers(), two_interactions()), task.network()
    full = network(made)["edge"]
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        half = network(made)["edge"]
    full = network(made)["edge"]
    assert (half.float() - full).abs().max() < 0.1 * full.abs().max() + 0.05


def test_voxels_of_pairs_and_of_single_clusters() -> None:
    clusters = torch.tensor([[0, 2], [2, 1]])
    row, voxel = voxels_of(clusters, torch.tensor([2, 1, 3]))
    assert row.tolist() == [0] * 5 + [1] * 4
    assert voxel.tolist() == [0, 1, 3, 4, 5, 3, 4, 5, 2]
    row, voxel = voxels_of(torch.tensor([[1], [0]]), torch.tensor([2, 1]))
    assert (row.tolist(), voxel.tolist()) == ([0, 1, 1], [2, 0, 1])
    assert [len(part) for part in voxels_of(torch.zeros(0, 2, dtype=torch.int64), torch.tensor([2]))] == [0, 0]


@pytest.mark.parametrize(("kind", "edges"), [("complete", 30), ("loop", 6)])
def test_the_encoder_of_edges_sees_both_clusters_and_no_other(kind: str, edges: int) -> None:
    """Of the charge of one cluster the features of its own edges depend, in both directions alike."""
    torch.manual_seed(0)
    graph = {"kind": kind, "max_length": None}
    task = built(graph=graph, edge_encoder="cnn", edge_cnn={"filters": 4, "depth": 2, "features": 5})
    network, made = task.network().eval(), batch(task, two_showers())
    before = network._of_pairs(made, network.edge_encoder)
    assert before.shape == (edges, 5)
    assert made.edges.shape == (edges, 0)
    made.features[made.voxel_node == 1] += 1.0
    after = network._of_pairs(made, network.edge_encoder)
    touched = (made.edge_index == 1).any(0)
    assert (before != after).any(1).tolist() == touched.tolist()
    if kind == "complete":
        assert torch.equal(before[::2], before[1::2])


@pytest.mark.parametrize("name", ["meta", "nnconv", "econv", "gatconv", "agnnconv", "layer nnconv"])
def test_every_activation_has_the_slope_asked_for(name: str) -> None:
    network = built(**NETWORKS[name], leak=0.25).network()
    found = [m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)]
    assert found
    assert set(found) == {0.25}


def test_layers_are_all_of_the_network_once() -> None:
    for name in ("meta", "nnconv", "mixed", "edge cnn", "all cnn"):
        task = built(**NETWORKS[name])
        network = task.network()
        listed = [p for layer in task.layers(network) for module in layer for p in module.parameters()]
        assert len({id(p) for p in listed}) == len(listed) == len(list(network.parameters()))


def test_weights_of_spine_are_those_of_meta_alone() -> None:
    assert set(built().foreign_layout().names) == set(built().network().state_dict())
    attention = built(attention=True)
    assert set(attention.foreign_layout().names) == set(attention.network().state_dict())
    others = ({"network": "nnconv"}, {"encoder": "mixed"}, {"norm": "layer"}, {"node_layer": "econv"})
    for other in (*others, {"edge_encoder": "cnn"}):
        assert built(**other).foreign_layout() is None


@pytest.mark.parametrize("instance", ["shower", "interaction"])
def test_inference_by_a_few_edges_and_with_norms_taken_in_gives_the_same(instance, monkeypatch):
    task = tasks.build("grappa", {"model": {"instance": instance, "width": 8}})
    network = task.network().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.3 * torch.randn_like(tensor))
    nodes = 30
    pairs = torch.combinations(torch.arange(nodes))
    edge_index = torch.stack([pairs, pairs.flip(1)], 1).reshape(-1, 2).t().contiguous()
    x, e = torch.randn(nodes, 33), torch.randn(edge_index.shape[1], 19)
    whole = network.trunk(x, edge_index, e)  # gradients: all at once
    monkeypatch.setattr(layers, "PIECE", 7)
    with torch.inference_mode():
        pieces = network.trunk(x, edge_index, e)
    for a, b in zip(whole, pieces, strict=True):
        torch.testing.assert_close(a.detach(), b, atol=1e-5, rtol=1e-5)
    network.train()
    with torch.inference_mode():  # statistics of all edges: not in pieces
        trained = network.trunk(x, edge_index, e)
    assert not torch.allclose(trained[1], pieces[1])
