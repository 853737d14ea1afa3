"""Point proposals against SPINE: post-processing, positives, outputs of the network and its loss (`pip install spine`,
`make minkowski`)."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from weft import tasks
from weft.engine.foreign_weights import import_weights, read_checkpoint
from weft.engine.model_file import load_weights, read_model
from weft.engine.task import Sample
from weft.errors import WeftError
from weft.sparse.minkowski import load_minkowski
from weft.tasks.points.options import MergeOptions
from weft.tasks.points.proposals import merge_proposals
from weft.tasks.points.targets import nearest_points

warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")

from spine.data import TensorBatch, TensorData, TensorSchema  # noqa: E402
from spine.utils.ppn import PPNPredictor, ppn_raw_schema  # noqa: E402

try:
    load_minkowski()
    from spine.model.uresnet.ppn import PPNLoss, UResNetPPN
except WeftError as error:
    REASON: str | None = str(error)
else:
    REASON = None

pytestmark = pytest.mark.peer
minkowski = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def logits(rng, n, classes):
    return rng.normal(0, 2, (n, classes)).astype(np.float32)


def softmax(values):
    return np.exp(values) / np.exp(values).sum(1, keepdims=True)


@pytest.mark.parametrize("enforce", [True, False])
@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("seed", range(5))
def test_points_are_those_of_the_predictor(enforce, pool, seed):
    rng = np.random.default_rng(seed)
    voxels = np.unique(rng.integers(0, 14, (500, 3)), axis=0)
    n = len(voxels)
    offsets = rng.normal(0, 1.2, (n, 3)).astype(np.float32)
    types, scores, ends, segmentation = (logits(rng, n, k) for k in (5, 2, 2, 5))
    predictor = PPNPredictor(enforce_type=enforce, pool_score_fn=pool, type_score_threshold=0.4)
    theirs = predictor.process_single(
        TensorData(features=np.concatenate([offsets, types, scores], 1), schema=ppn_raw_schema()),
        voxels.astype(np.float32),
        np.ones(n, bool),
        ends,
        segmentation,
    )
    proposals = np.concatenate([offsets, softmax(scores)[:, 1:], softmax(types), softmax(ends)[:, 1:]], 1)
    options = MergeOptions(anchor="corner", enforce_class=enforce, pool=pool, class_score=0.4)
    ours = merge_proposals(proposals, voxels, segmentation.argmax(1), np.zeros(3), np.ones(3), options)

    assert len(ours) == len(theirs.coords) > 10
    position = np.stack([ours[axis] for axis in "xyz"], 1)
    row = np.linalg.norm(position[:, None] - theirs.coords[None], axis=2).argmin(1)
    assert len(set(row)) == len(ours)
    np.testing.assert_allclose(position, theirs.coords[row], atol=1e-4)
    np.testing.assert_allclose(ours["score"], theirs.feature("scores")[row, 1], atol=1e-5)
    np.testing.assert_array_equal(ours["occupancy"], theirs.feature("occupancy")[row].reshape(-1))
    np.testing.assert_array_equal(ours["class"], theirs.feature("shape")[row].reshape(-1))
    names = [name for name in ours.dtype.names if name.startswith("score_")]
    np.testing.assert_allclose(np.stack([ours[k] for k in names], 1), theirs.feature("class_scores")[row], atol=1e-5)
    if pool == "mean":  # there the largest is kept of either column of the ends, so that they do not add up
        np.testing.assert_allclose(ours["end_score"], theirs.feature("endpoint_scores")[row, 1], atol=1e-5)


@minkowski
@pytest.mark.parametrize("same_particle", [True, False])
def test_positives_are_those_of_the_loss(same_particle):
    rng = np.random.default_rng(0)
    for _ in range(20):
        voxels = np.unique(rng.integers(0, 25, (300, 3)), axis=0)
        points = rng.uniform(0, 25, (8, 3)).astype(np.float32)
        points[5] = points[2]  # two particles begin at one vertex
        owners, particles = rng.integers(-1, 4, len(voxels)), rng.integers(0, 4, 8)
        given = {}
        if same_particle:
            given = {"labels": torch.tensor(owners), "label_particles": torch.tensor(particles)}
        positive, closest = PPNLoss.get_ppn_positives(
            torch.tensor(voxels + 0.5, dtype=torch.float32), torch.tensor(points), 5.0, 0, **given
        )
        ours = nearest_points(voxels, points, 5.0, *((owners, particles) if same_particle else ()))
        np.testing.assert_array_equal(ours >= 0, positive.numpy())
        np.testing.assert_array_equal(ours, closest.numpy())


UNET = {
    "num_input": 1,
    "num_classes": 5,
    "filters": 6,
    "depth": 4,
    "reps": 2,
    "allow_bias": False,
    "activation": {"name": "lrelu", "negative_slope": 0.33},
    "norm_layer": {"name": "batch_norm", "eps": 0.0001, "momentum": 0.01},
}
MODEL = {"semantic": True, "filters": 6, "depth": 4, "reps": 2}
CASES = {
    "plain": ({}, {}),
    "ends": ({"classify_endpoints": True}, {"ends": True}),
    "all": ({"propagate_all": True}, {"propagate_all": True}),
    "binary": (
        {"use_binary_mask": True, "mask_score_threshold": 0.45},
        {"use_binary_mask": True, "mask_score_threshold": 0.45},
    ),
}


def networks(case, tmp_path: Path, loss=None):
    """SPINE's model as trained, and ours with its weights."""
    theirs_ppn, ours_ppn = CASES[case]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = UResNetPPN(UNET, theirs_ppn)
    for name, tensor in theirs.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.3 * torch.randn_like(tensor))
        elif ".bn." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    source, output = tmp_path / "snapshot-1.ckpt", tmp_path / "model.ckpt"
    torch.save({"global_step": 1, "state_dict": theirs.state_dict()}, source)
    options = {"model": {**MODEL, **ours_ppn}, "data": {"charge": "linear"}, "loss": loss or {}}
    task = tasks.build("points", options)
    import_weights(task, read_checkpoint(source), source, output, options)
    ours = task.network()
    load_weights(ours, read_model(output).state, "model.ckpt")
    return task, ours.eval(), theirs.eval()


def samples(seed):
    """Voxels of random walks, with label points on some of them."""
    rng = np.random.default_rng(seed)
    for i, count in enumerate((400, 1, 700)):
        coords = np.unique(np.cumsum(rng.integers(-1, 2, (count, 3)), 0) + 100, axis=0).astype(np.int32)
        n = min(len(coords), 6)
        at = coords[rng.choice(len(coords), n, replace=False)] + rng.random((n, 3))
        yield Sample(
            {
                "coords": coords,
                "charge": rng.gamma(2.0, 0.5, (len(coords), 1)).astype(np.float32),
                "box": np.array([[[0.0, 0, 0], [1, 1, 1]]]),
                "points": at.astype(np.float32),
                "point_class": rng.integers(0, 4, n).astype(np.int8),
                "point_end": rng.integers(0, 2, n).astype(np.int8),
                "nearest": nearest_points(coords, at.astype(np.float32), 5.0),
                "semantics": rng.integers(0, 5, len(coords)).astype(np.int8),
            },
            (0, i),
        )


def tensor_batch(batch):
    rows = torch.cat([batch.coords.float(), batch.features], 1)
    counts = batch.offsets.diff().tolist()
    return TensorBatch(rows, counts=counts, has_batch_col=True, coord_cols=np.array([1, 2, 3]))


def close(mine, expected):
    assert expected.abs().max() > 0.05
    assert (mine - expected).abs().max() <= 1e-4 * expected.abs().max()


@minkowski
@pytest.mark.parametrize("case", CASES)
def test_our_network_gives_the_outputs_of_spine_with_its_weights(case, tmp_path):
    task, ours, theirs = networks(case, tmp_path)
    batch = task.collate(list(samples(1)))
    with torch.inference_mode():
        mine, peer = ours(batch), theirs(tensor_batch(batch))
    points = peer["ppn_points"]
    close(mine.offset, points.feature("offsets").torch_tensor())
    close(mine.classes, points.feature("type_logits").torch_tensor())
    close(mine.score, points.feature("point_logits").torch_tensor())
    close(mine.semantic, peer["segmentation"].torch_tensor())
    if mine.end is not None:
        close(mine.end, peer["ppn_classify_endpoints"].torch_tensor())
    for scores, layer, coords in zip(mine.coarse, peer["ppn_layers"], peer["ppn_coords"], strict=False):
        cells = coords.torch_tensor().long().numpy()
        close(scores, layer.torch_tensor()[np.lexsort(cells.T[::-1])])


@minkowski
@pytest.mark.parametrize("balanced", [True, False])
def test_our_loss_is_that_of_spine(balanced, tmp_path):
    power = float(balanced)
    task, ours, theirs = networks("ends", tmp_path, {"balance_mask": power, "balance_class": power})
    # One event: where rows of a coarse scale are not in the order of events, which MinkowskiEngine does not promise,
    # SPINE takes them for those of other events and finds no positives there.
    batch = task.collate(list(samples(2))[:1])
    criterion = PPNLoss(UNET, {"balance_mask_loss": balanced, "balance_type_loss": balanced})
    targets = batch.targets
    label = torch.cat(
        [
            targets["point_event"][:, None].float(),
            targets["points"],
            targets["point_class"][:, None].float(),
            torch.zeros(len(targets["points"]), 1),
            targets["point_end"][:, None].float(),
        ],
        1,
    )
    schema = TensorSchema(
        coordinate_groups={"point": (0, 1, 2)}, feature_fields={"shape": (0,), "particle": (1,), "endpoint": (2,)}
    )
    counts = torch.bincount(targets["point_event"], minlength=1).tolist()
    labels = TensorBatch(label, counts=counts, has_batch_col=True, coord_cols=np.array([1, 2, 3]), schema=schema)
    with torch.no_grad():
        peer = theirs(tensor_batch(batch))
        expected = criterion(labels, **{name: value for name, value in peer.items() if name.startswith("ppn")})
        terms = {name: total / weight for name, (total, weight) in task.loss(ours(batch), batch).items()}
    masks = sum(value for name, value in terms.items() if name.startswith("mask_"))
    assert float(masks) == pytest.approx(float(expected["mask_loss"]), rel=1e-4)
    assert float(terms["class"]) == pytest.approx(float(expected["type_loss"]), rel=1e-4)
    assert float(terms["position"]) == pytest.approx(float(expected["reg_loss"]), rel=1e-4)
    assert float(terms["end"]) == pytest.approx(float(expected["classify_endpoints_loss"]), rel=1e-4)


@minkowski
def test_weights_of_a_joint_training_need_the_segmentation_head(tmp_path):
    networks("plain", tmp_path)
    task = tasks.build("points", {"model": MODEL | {"semantic": False}})
    source = tmp_path / "snapshot-1.ckpt"
    with pytest.raises(WeftError, match=r"uresnet\.linear_segmentation\.linear\.weight is not in the network"):
        import_weights(task, read_checkpoint(source), source, tmp_path / "other.ckpt", {})
