"""GrapPA with weights of SPINE's, carried over, against SPINE itself (`pip install spine`, `make minkowski`)."""

import sys
import types
import warnings

import numpy as np
import pytest
import torch

from weft import tasks
from weft.engine.foreign_weights import import_weights, read_checkpoint
from weft.engine.model_file import load_weights, read_model
from weft.errors import WeftError
from weft.sparse.minkowski import load_minkowski
from weft.tasks.grappa.batch import GraphBatch
from weft.tasks.grappa.loss import GrappaLoss, berhu, vertex_position
from weft.tasks.grappa.network import OUTPUTS

warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
try:
    load_minkowski()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)
pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")


def _stand_in(name: str, **members: object) -> None:
    """A module that SPINE imports and that is not installed, with what torch-geometric has of it."""
    try:
        __import__(name)
    except ImportError:
        module = types.ModuleType(name)
        for member, value in members.items():
            setattr(module, member, value)
        sys.modules[name] = module


from torch_geometric.utils import scatter, softmax  # noqa: E402

_stand_in("torch_scatter", scatter=scatter, scatter_softmax=softmax, scatter_add=scatter, scatter_mean=scatter)
_stand_in("torch_cluster", knn_graph=None, radius_graph=None, knn=None, radius=None)

from spine.data import EdgeIndexBatch, TensorBatch  # noqa: E402
from spine.model.common.losses import BerHuLoss  # noqa: E402
from spine.model.grappa.loss import EdgeChannelLoss, NodeClassLoss, NodeRegressionLoss  # noqa: E402
from spine.model.grappa.model import GrapPA  # noqa: E402
from spine.model.grappa.vertex import decode_vertex_positions  # noqa: E402

pytestmark = pytest.mark.peer


def perceptron(width: int, depth: int) -> dict:
    return {
        "depth": depth,
        "width": width,
        "activation": {"name": "lrelu", "negative_slope": 0.1},
        "normalization": "batch_norm",
    }


def spine_config(nodes: int, width: int, heads: dict, rounds: int = 3, depth: int = 3, **more) -> dict:
    layer = {"name": "mlp", "reduction": "max", **more}
    mlp = perceptron(width, depth)
    return {
        "gnn_model": {
            "name": "meta",
            "node_feats": nodes,
            "edge_feats": 19,
            "node_layer": {**layer, "message_mlp": mlp, "aggr_mlp": mlp},
            "edge_layer": {"name": "mlp", "mlp": mlp},
            "num_mp": rounds,
            **heads,
        }
    }


CASES = {
    "shower": (spine_config(33, 64, {"node_pred": 2, "edge_pred": 2}), {"instance": "shower"}),
    "track": (spine_config(32, 64, {"edge_pred": 2}), {"instance": "track"}),
    "interaction": (
        spine_config(33, 128, {"node_pred": {"type": 5, "primary": 2, "orient": 2}, "edge_pred": 2}),
        {"instance": "interaction"},
    ),
    "every head": (
        spine_config(
            33, 32, {"node_pred": {"type": 5, "primary": 2, "orient": 2, "momentum": 1, "vertex": 5}, "edge_pred": 2}
        ),
        {
            "instance": "interaction",
            "width": 32,
            "heads": ["edge", "primary", "pid", "orientation", "momentum", "vertex"],
        },
    ),
    "attention, mean, two rounds of depth one": (
        spine_config(33, 16, {"node_pred": 2, "edge_pred": 2}, 2, 1, attention=True),
        {"instance": "shower", "width": 16, "rounds": 2, "depth": 1, "attention": True},
    ),
}
THEIRS = {"edge": "edge_pred", "pid": "node_type_pred", "orientation": "node_orient_pred"}


def spine_network(config: dict) -> GrapPA:
    """SPINE's model as trained: no parameter and no running statistic at its initial value."""
    torch.manual_seed(0)
    network = GrapPA(config)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.3 * torch.randn_like(tensor))
        elif tensor.ndim == 2:
            tensor.mul_(2.0)  # so that the answers differ between nodes
    return network.eval()


def graph(nodes: int) -> GraphBatch:
    """Two events of 6 and 4 nodes, complete, and one of a single node, with random features."""
    rng = np.random.default_rng(0)
    counts, edges, first = [6, 4, 1], [], 0
    for n in counts:
        a, b = np.triu_indices(n, 1)
        both = np.stack([np.stack([a, b], 1), np.stack([b, a], 1)], 1).reshape(-1, 2) + first
        edges.append(both)
        first += n
    index = torch.from_numpy(np.concatenate(edges).T.copy())
    return GraphBatch(
        coords=torch.zeros(0, 4, dtype=torch.int32),
        features=torch.zeros(0, 1),
        offsets=torch.zeros(4, dtype=torch.int64),
        events=[(0, k) for k in range(3)],
        nodes=torch.from_numpy(rng.normal(size=(11, nodes)).astype(np.float32)),
        edge_index=index,
        edges=torch.from_numpy(rng.normal(size=(index.shape[1], 19)).astype(np.float32)),
        node_offsets=torch.tensor([0, 6, 10, 11]),
        edge_offsets=torch.tensor([0, 30, 42, 42]),
    )


@pytest.mark.parametrize("case", CASES)
def test_our_network_gives_the_outputs_of_spine_with_its_weights(case, tmp_path):
    config, model = CASES[case]
    theirs = spine_network(config)
    source, output = tmp_path / "snapshot-100.ckpt", tmp_path / "model.ckpt"
    torch.save({"global_step": 100, "state_dict": {f"grappa.{k}": v for k, v in theirs.state_dict().items()}}, source)
    task = tasks.build("grappa", {"model": model})
    import_weights(task, read_checkpoint(source), source, output, {"model": model})
    ours = task.network()
    load_weights(ours, read_model(output).state, "model.ckpt")
    batch = graph(task.options.model.features)
    with torch.inference_mode():
        mine = ours.eval()(batch)
        peer = theirs(
            node_features=TensorBatch(batch.nodes, counts=[6, 4, 1]),
            edge_index=EdgeIndexBatch(batch.edge_index, counts=[30, 12, 0], spans=[6, 4, 1], directed=False),
            edge_features=TensorBatch(batch.edges, counts=[30, 12, 0]),
        )
    for head, values in mine.items():
        name = THEIRS.get(head, f"node_{head}_pred" if "interaction" in model["instance"] else "node_pred")
        expected = peer[name].torch_tensor()
        assert expected.std() > 0.02
        torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("anchor", ["nearest", "origin"])
def test_vertices_are_those_of_spine(anchor, normalise):
    rng = np.random.default_rng(3)
    start, end, answer = (torch.from_numpy(rng.uniform(0, 60, (40, 3)).astype(np.float32)) for _ in range(3))
    unit = torch.full((40, 3), 64.0 if normalise else 1.0)
    answer = answer / unit
    model = tasks.build("grappa", {"model": {"instance": "interaction", "vertex_anchor": anchor}}).options.model
    batch = graph(33)
    batch.start, batch.end = start, end
    expected = decode_vertex_positions(
        TensorBatch(answer, counts=[40]),
        start_points=TensorBatch(start, counts=[40]),
        end_points=TensorBatch(end, counts=[40]),
        normalize_positions=normalise,
        use_anchor_points=anchor == "nearest",
        position_scales=unit if normalise else None,
    )
    torch.testing.assert_close(vertex_position(answer, batch, model, unit), expected.torch_tensor())


def test_reverse_huber_is_that_of_spine():
    residual = torch.randn(50) * 3
    torch.testing.assert_close(berhu(residual), BerHuLoss()(residual, torch.zeros(50)))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("target", ["group", "forest"])
def test_our_losses_are_those_of_spine(balance, target):
    torch.manual_seed(1)
    heads = ["edge", "primary", "pid", "orientation", "momentum"]
    classes = {head: OUTPUTS[head] for head in ("primary", "pid", "orientation")}
    given = {"balance": balance and target == "group"}
    task = tasks.build(
        "grappa",
        {
            "model": {"instance": "interaction", "heads": heads, "momentum_unit": 1},
            "loss": {"edge": {"target": target, **given}, "primary": {"balance": balance}, "pid": {"balance": balance}},
        },
    )
    batch = graph(33)
    nodes, edges = len(batch.nodes), batch.edge_index.shape[1]
    groups = torch.tensor([0, 0, 1, 1, 0, 2, 0, 0, 1, 1, 0])
    together = (groups[batch.edge_index[0]] == groups[batch.edge_index[1]]).long()
    batch.targets |= {
        "group": groups,
        "edge": together,
        "edge_counts": torch.bincount(together, minlength=2),
        "momentum": torch.where(torch.arange(nodes) % 4 == 0, torch.nan, 50 + 100 * torch.rand(nodes)),
        **{head: torch.arange(nodes) % (n + 1) - 1 for head, n in classes.items()},
    }
    output = {head: torch.randn(nodes, OUTPUTS[head]) for head in classes}
    output |= {"edge": torch.randn(edges, 2), "momentum": 100 * torch.rand(nodes, 1)}
    terms = GrappaLoss(task.options.model, task.options.loss)(output, batch)
    ours = {head: total / weight for head, (total, weight) in terms.items()}

    counts, pairs = [6, 4, 1], [30, 12, 0]
    of_edges = EdgeChannelLoss("interaction", target, balance_loss=given["balance"])(
        EdgeIndexBatch(batch.edge_index, counts=pairs, spans=counts, directed=False),
        TensorBatch(output["edge"], counts=pairs),
        labels=TensorBatch(groups, counts=counts) if target == "forest" else TensorBatch(together, counts=pairs),
        valid_mask=TensorBatch(torch.ones(edges, dtype=torch.bool), counts=pairs),
    )
    torch.testing.assert_close(ours["edge"], of_edges["loss"], atol=1e-5, rtol=1e-5)
    for head in (*classes, "momentum"):
        label = batch.targets[head]
        known = label >= 0  # NaN is not
        balanced = {"balance_loss": balance and head != "orientation"}
        judge = NodeRegressionLoss("momentum", "berhu") if head == "momentum" else NodeClassLoss(head, **balanced)
        answer = judge(
            node_pred=TensorBatch(output[head], counts=counts),
            labels=TensorBatch(label, counts=counts),
            valid_mask=TensorBatch(known, counts=counts),
        )
        torch.testing.assert_close(ours[head], answer["loss"], atol=1e-4, rtol=1e-5)
