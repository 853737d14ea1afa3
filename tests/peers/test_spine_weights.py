"""SPINE's own U-ResNet with its weights carried over, and its loss (`pip install spine`, `make minkowski`)."""

import json
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
from weft.tasks.segmentation.loss import SegmentationLoss

warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
try:
    load_minkowski()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)
pytest.importorskip("spine", reason="SPINE is not installed: pip install spine")

from spine.data import TensorBatch  # noqa: E402
from spine.model.uresnet.model import SegmentationLoss as SpineLoss  # noqa: E402
from spine.model.uresnet.model import UResNetSegmentation  # noqa: E402

pytestmark = pytest.mark.peer
RECORDED = Path(__file__).parents[1] / "unit/engine/spine_uresnet.json"

#: ``modules.uresnet`` of the tutorial's uresnet.cfg.
SEED = {
    "num_input": 1,
    "num_classes": 5,
    "filters": 32,
    "depth": 5,
    "reps": 2,
    "allow_bias": False,
    "activation": {"name": "lrelu", "negative_slope": 0.33},
    "norm_layer": {"name": "batch_norm", "eps": 0.0001, "momentum": 0.01},
}
SMALL = SEED | {"filters": 6, "depth": 3, "reps": 1}
CASES = {
    "seed": (SEED, {}),
    "small": (SMALL, {"filters": 6, "depth": 3, "reps": 1}),
    "ghost": (SMALL | {"ghost": True}, {"filters": 6, "depth": 3, "reps": 1, "ghost": True}),
    "wide stem": (SMALL | {"input_kernel": 5}, {"filters": 6, "depth": 3, "reps": 1, "input_kernel": 5}),
    "even stem": (SMALL | {"input_kernel": 2}, {"filters": 6, "depth": 3, "reps": 1, "input_kernel": 2}),
    "pointwise stem": (SMALL | {"input_kernel": 1}, {"filters": 6, "depth": 3, "reps": 1, "input_kernel": 1}),
    "relu": (SMALL | {"activation": "relu"}, {"filters": 6, "depth": 3, "reps": 1, "leak": 0.0}),
    "two levels": (SMALL | {"depth": 2, "reps": 3}, {"filters": 6, "depth": 2, "reps": 3}),
}


def spine_network(config, seed=0):
    """SPINE's model as trained: no parameter and no running statistic at its initial value."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = UResNetSegmentation(config)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.3 * torch.randn_like(tensor))
        elif ".bn." in name and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network.eval()


def events(seed, counts=(400, 1, 700)):
    """Voxels of tracks: random walks, so that every offset of the kernels is used."""
    rng = np.random.default_rng(seed)
    for count in counts:
        walk = np.cumsum(rng.integers(-1, 2, (count, 3)), 0) + 100
        coords = np.unique(walk, axis=0).astype(np.int32)
        yield coords, rng.gamma(2.0, 0.5, (len(coords), 1)).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_our_network_gives_the_outputs_of_spine_with_its_weights(case, engine, tmp_path):
    config, model = CASES[case]
    theirs = spine_network(config)
    torch.save({"global_step": 25000, "state_dict": theirs.state_dict()}, tmp_path / "snapshot-25000.ckpt")
    options = {"model": {**model, "engine": engine}, "data": {"charge": "linear"}}
    task = tasks.build("segmentation", options)
    source, output = tmp_path / "snapshot-25000.ckpt", tmp_path / "model.ckpt"
    import_weights(task, read_checkpoint(source), source, output, options)
    ours = task.network()
    load_weights(ours, read_model(output).state, "model.ckpt")
    ours.eval()

    samples = [
        Sample({"coords": coords, "charge": charge}, (0, i)) for i, (coords, charge) in enumerate(events(seed=1))
    ]
    batch = task.collate(samples)
    rows = torch.cat([batch.coords.float(), batch.features], 1)
    counts = [len(sample.arrays["coords"]) for sample in samples]
    with torch.inference_mode():
        mine = ours(batch)
        peer = theirs(TensorBatch(rows, counts=counts, has_batch_col=True, coord_cols=np.array([1, 2, 3])))
    for logits, reference in ((mine.semantic, "segmentation"), (mine.ghost, "ghost")):
        if logits is not None:
            expected = peer[reference].torch_tensor()
            assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()
            assert expected.abs().max() > 0.1


def test_the_recorded_layout_is_that_of_the_installed_spine():
    layout = {name: list(tensor.shape) for name, tensor in spine_network(SEED).state_dict().items()}
    assert json.loads(RECORDED.read_text()) == layout


@pytest.mark.parametrize("ghost", [False, True])
@pytest.mark.parametrize("balance", [False, True])
def test_our_loss_is_that_of_spine(ghost, balance):
    torch.manual_seed(0)
    labels = torch.randint(0, 6 if ghost else 5, (300,))
    logits, of_ghost = torch.randn(300, 5), torch.randn(300, 2)
    ours = SegmentationLoss(ghosts=ghost, balance=float(balance), ghost_weight=0.3)
    terms = ours(logits, labels, of_ghost if ghost else None)
    rows = torch.cat([torch.zeros(300, 4), labels[:, None]], 1)
    theirs = SpineLoss({"num_classes": 5, "ghost": ghost}, {"balance_loss": balance, "beta": 0.3})(
        TensorBatch(rows, counts=[300], has_batch_col=True, coord_cols=np.array([1, 2, 3])),
        TensorBatch(logits, counts=[300]),
        ghost=TensorBatch(of_ghost, counts=[300]) if ghost else None,
    )
    torch.testing.assert_close(sum(total / weight for total, weight in terms.values()), theirs["loss"])
