"""SPICE and Graph-SPICE with SPINE's own weights, losses and clusterers (`pip install spine`, `make minkowski`)."""

import sys
import types
import warnings

import numpy as np
import pytest
import torch

from weft import tasks
from weft.engine.foreign_weights import import_weights, read_checkpoint
from weft.engine.model_file import load_weights, read_model
from weft.engine.task import Sample
from weft.errors import WeftError
from weft.io.products import META
from weft.sparse.minkowski import load_minkowski

warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
try:
    load_minkowski()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)
pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")


def _radius_graph(coords: torch.Tensor, r: float, **_: object) -> torch.Tensor:
    from scipy.spatial import cKDTree

    pairs = cKDTree(coords.numpy()).query_pairs(r, output_type="ndarray").astype(np.int64)
    return torch.from_numpy(np.concatenate([pairs, pairs[:, ::-1]]).T.copy())


# SPINE needs one function of torch_cluster, for which there is no wheel; other tests stand in for it without that.
# torch-geometric looks for the real one when it is imported, so that comes first.
import torch_geometric  # noqa: E402, F401

stand_in = sys.modules.setdefault("torch_cluster", types.SimpleNamespace(knn_graph=None))  # type: ignore[arg-type]
if getattr(stand_in, "radius_graph", None) is None:
    stand_in.radius_graph = _radius_graph

from spine.data import TensorBatch  # noqa: E402
from spine.model.common.losses import BinaryLogDiceCELoss  # noqa: E402
from spine.model.common.weighting import get_class_weights  # noqa: E402
from spine.model.graph_spice.connected import ConnectedComponentClusterer  # noqa: E402
from spine.model.graph_spice.model import GraphSPICE  # noqa: E402
from spine.model.spice.cluster import SPICEClusterer  # noqa: E402
from spine.model.spice.loss import SPICELoss  # noqa: E402
from spine.model.spice.model import SPICE  # noqa: E402

from weft.tasks.fragmenting_components import fragments  # noqa: E402
from weft.tasks.graph_spice.loss import EdgeLoss  # noqa: E402
from weft.tasks.graph_spice.network import Edges  # noqa: E402
from weft.tasks.graph_spice.options import ClusteringOptions  # noqa: E402
from weft.tasks.graph_spice.options import LossOptions as EdgeLossOptions  # noqa: E402
from weft.tasks.spice.clustering import cluster_one  # noqa: E402
from weft.tasks.spice.loss import SpiceLoss, Subset  # noqa: E402
from weft.tasks.spice.network import Embedding  # noqa: E402
from weft.tasks.spice.options import LossOptions  # noqa: E402

pytestmark = pytest.mark.peer

UNET = {
    "num_input": 4,
    "filters": 6,
    "depth": 3,
    "reps": 1,
    "spatial_size": 256,
    "input_kernel": 5,
    "allow_bias": False,
    "activation": {"name": "lrelu", "negative_slope": 0.33},
    "norm_layer": {"name": "batch_norm", "eps": 0.0001, "momentum": 0.01},
}
MODEL = {"filters": 6, "depth": 3, "reps": 1, "spatial_size": 256, "input_kernel": 5}
CHARGE = {"charge": "linear", "context": False}
SHAPES = ["shower", "track", "michel", "delta"]


@pytest.fixture(autouse=True)
def first_weights() -> None:
    """Those of SPINE's networks too, whatever was run before."""
    torch.manual_seed(0)


def as_trained(network, seed=0):
    """No parameter and no running statistic at its initial value."""
    torch.manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.3 * torch.randn_like(tensor))
        elif ".bn." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network.eval()


def carried_over(task, theirs, options, tmp_path):
    source, output = tmp_path / "snapshot-1000.ckpt", tmp_path / "model.ckpt"
    torch.save({"global_step": 1000, "state_dict": theirs.state_dict()}, source)
    import_weights(task, read_checkpoint(source), source, output, options)
    ours = task.network()
    load_weights(ours, read_model(output).state, "model.ckpt")
    return ours.eval()


def batch_of(task, counts=(500, 1, 300)):
    """Random walks, a class for each stretch; every class but low-energy is divided."""
    rng = np.random.default_rng(1)
    samples = []
    for k, count in enumerate(counts):
        voxels = np.unique(np.cumsum(rng.integers(-1, 2, (count, 3)), 0) + 100, axis=0).astype(np.int32)
        semantics = (np.arange(len(voxels)) * 5 // len(voxels)).astype(np.int8)
        event = {
            "voxels": voxels,
            "charge": rng.gamma(2.0, 0.5, (len(voxels), 1)).astype(np.float32),
            "semantics": semantics[:, None],
            "meta": np.ones(1, META.dtype),
        }
        samples.append(task.sample(event, (0, k), labels=False))
    assert all(isinstance(sample, Sample) for sample in samples)
    return task.collate(samples)


def as_spine(batch):
    counts = batch.offsets.diff().numpy()
    coords = batch.coords.float()
    columns = {"has_batch_col": True, "coord_cols": np.array([1, 2, 3])}
    data = TensorBatch(torch.cat([coords, batch.features], 1), counts=counts, **columns)
    classes = batch.targets["semantics"].float()[:, None]
    return data, TensorBatch(torch.cat([coords, classes], 1), counts=counts, **columns)


@pytest.mark.parametrize("coord_conv", [True, False])
@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_spice_gives_the_outputs_of_spine_with_its_weights(coord_conv, engine, tmp_path):
    unet = UNET | {"num_input": 4 if coord_conv else 1}
    theirs = as_trained(SPICE({"uresnet": unet, "shapes": SHAPES, "coord_conv": coord_conv}))
    options = {"model": MODEL | {"coord_conv": coord_conv, "engine": engine}, "data": CHARGE}
    task = tasks.build("spice", options)
    ours, batch = carried_over(task, theirs, options, tmp_path), None
    batch = batch_of(task)
    data, classes = as_spine(batch)
    with torch.inference_mode():
        mine, peer = ours(batch), theirs(data, classes)
    for tensor, name in zip(mine, ("embeddings", "margins", "seediness"), strict=True):
        expected = peer[name].torch_tensor().reshape(tensor.shape)
        assert (tensor - expected).abs().max() <= 1e-4 * expected.abs().max()
        assert expected.std() > 0.01


KERNELS = {
    "bilinear": ({"use_raw_features": True}, {"provider": "bilinear", "num_features": 6}, {}),
    "bilinear with bias": (
        {"use_raw_features": True},
        {"provider": "bilinear", "num_features": 6, "bias": True},
        {"kernel_bias": True},
    ),
    "mlp": ({"use_raw_features": True}, {"provider": "mlp", "num_features": 6}, {"kernel": "mlp"}),
    "default": (
        {"use_raw_features": False},
        {"provider": "default", "num_features": 16},
        {"kernel": "default", "features": "heads"},
    ),
    "bilinear on heads": (
        {"use_raw_features": False},
        {"provider": "bilinear", "num_features": 22},
        {"features": "heads", "covariance": "exp"},
    ),
}


@pytest.mark.parametrize("case", KERNELS)
def test_graph_spice_gives_the_logits_and_fragments_of_spine_with_its_weights(case, tmp_path):
    flags, kernel, model = KERNELS[case]
    embedder = {"uresnet": UNET} | ({"covariance_mode": "exp"} if model.get("covariance") == "exp" else {})
    constructor = {
        "graph": {"provider": "radius", "r": 1.9},
        "edge_threshold": 0.4,
        "min_size": 3,
        "orphan": {"mode": "radius", "radius": 1.9, "iterate": True, "assign_all": True},
    }
    config = {"embedder": embedder, "kernel": kernel, "constructor": constructor, "shapes": SHAPES}
    theirs = as_trained(GraphSPICE(config | {"invert": True, "make_clusters": True} | flags))
    options = {"model": MODEL | model | {"clustering": {"edge_threshold": 0.4, "min_size": 3}}, "data": CHARGE}
    task = tasks.build("graph_spice", options)
    ours = carried_over(task, theirs, options, tmp_path)
    batch = batch_of(task)
    with torch.inference_mode():
        mine, peer = ours(batch), theirs(*as_spine(batch))

    rows = [index.numpy() for index in peer["node_clusts"].index_list]
    edges = peer["edge_index"].torch_tensor().numpy()
    scores = peer["edge_attr"].torch_tensor().flatten().numpy()
    expected = {}
    for nodes, members in zip(rows, peer["edge_clusts"].index_list, strict=True):
        for e in members.numpy():
            expected[int(nodes[edges[e, 0]]), int(nodes[edges[e, 1]])] = scores[e]
    ends, logits = mine.ends.numpy(), mine.logits.numpy()
    found = {(i, j): x for (i, j), x in zip(ends.tolist(), logits[:, 0], strict=True)}
    found |= {(j, i): x for (i, j), x in zip(ends.tolist(), logits[:, 1], strict=True)}
    assert found.keys() == expected.keys()
    keys = list(expected)
    reference = np.array([expected[k] for k in keys])
    assert reference.std() > 0.01
    np.testing.assert_allclose([found[k] for k in keys], reference, atol=2e-4 * np.abs(reference).max())

    if case != "default":
        return  # of edges that stay in one direction alone SPINE follows those to voxels that it has not visited yet
    offsets = batch.offsets.tolist()
    theirs_found = {tuple(sorted(index.tolist())) for index in map(torch.as_tensor, peer["clusts"].index_list)}
    ours_found = set()
    for products, start in zip(task.decode(mine, batch), offsets, strict=False):
        row = batch.targets["row"].numpy()[start:]
        where = {int(r): start + k for k, r in enumerate(row[: offsets[offsets.index(start) + 1] - start])}
        ours_found |= {tuple(where[int(v)] for v in item) for item in products["fragment_voxels"]}
    assert ours_found == theirs_found
    assert len(ours_found) > 5


@pytest.mark.parametrize("seed", range(4))
def test_the_later_spice_loss_is_that_of_spine(seed):
    torch.manual_seed(seed)
    n, k = 60, 4
    position, margin, seediness = torch.randn(n, 3) * 0.3, torch.rand(n) + 0.05, torch.rand(n)
    labels = torch.randint(0, k, (n,))
    peer = SPICELoss({}, {})._semantic_loss(position, margin[:, None], seediness[:, None], labels)
    mine = SpiceLoss(LossOptions(form="bce"))
    mask, inter, seed_loss, smoothing = mine.of_subset(
        Embedding(position, margin, seediness), Subset(torch.arange(n), labels, 1.0)
    )
    for ours, theirs in zip((mask, seed_loss, smoothing, inter), peer[:4], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("assign_all", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_greedy_clusters_are_those_of_spine(seed, assign_all):
    rng = np.random.default_rng(seed)
    n = 200
    position = rng.normal(size=(n, 3)).astype(np.float32) * 0.6
    margin, seediness = rng.uniform(0.05, 0.4, n).astype(np.float32), rng.random(n).astype(np.float32)
    peer = SPICEClusterer((1,), 0.3, 0.4, 3, assign_all)
    tensors = (torch.from_numpy(x) for x in (position, margin, seediness))
    expected = np.full(n, -1)
    for k, rows in enumerate(peer._cluster_shape(*tensors, torch.arange(n), 1)):
        expected[rows.numpy()] = k
    found = cluster_one(position, margin, seediness, 0.3, 0.4, True, assign_all, 3)
    assert expected.max() > 3
    # SPINE leaves seeds that failed out even where it assigns all; ours join the nearest fragment.
    judged = expected >= 0 if assign_all else np.ones(n, bool)
    np.testing.assert_array_equal(found[judged], expected[judged])
    if assign_all:
        assert found.min() == 0


@pytest.mark.parametrize("balance", [False, True])
def test_the_edge_loss_is_that_of_spine(balance):
    torch.manual_seed(0)
    logits, fragments_of = torch.randn(80, 2), torch.randint(0, 3, (30,))
    ends = torch.randint(0, 30, (80, 2))
    judge = EdgeLoss(EdgeLossOptions(balance=balance), invert=True)
    learned, target = judge.targets(fragments_of, ends)
    terms = judge(Edges(logits, ends), learned, target)
    cut = (fragments_of[ends[:, 0]] != fragments_of[ends[:, 1]]).long()[:, None].expand(-1, 2).flatten()
    peer = BinaryLogDiceCELoss(reduction="none")(logits.flatten(), cut.float())
    if balance:
        peer = peer * get_class_weights(cut, num_classes=2, per_class=False)
    ours = sum(total / weight for total, weight in terms.values())
    torch.testing.assert_close(ours, peer.mean(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_components_and_orphans_are_those_of_spine(seed):
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 14, (700, 3)), axis=0)
    edges = _radius_graph(torch.from_numpy(coords).double(), 1.9).numpy().T
    edges = edges[edges[:, 0] < edges[:, 1]]
    kept = edges[rng.random(len(edges)) < 0.25]
    both = np.concatenate([kept, kept[:, ::-1]])
    orphan = {"mode": "radius", "radius": 1.9, "iterate": True, "assign_all": True}
    peer = ConnectedComponentClusterer(min_size=5, orphan=orphan)
    expected = peer.fit_predict_one(coords.astype(np.float32), both, np.ones(len(both), bool), 0)
    options = ClusteringOptions(min_size=5)
    found = fragments(coords, np.ones(len(coords), np.int8), kept, (1,), options)
    pairs = {tuple(pair) for pair in np.stack([expected, found], 1).tolist()}
    assert len(pairs) == len(np.unique(expected)) == len(np.unique(found)) > 5
