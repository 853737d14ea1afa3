"""A checkpoint of SPINE's own full chain, split into the networks of an experiment (`pip install spine`)."""

import json
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import weft

from weft import tasks
from weft.bench.spine_setup import load_spine
from weft.config.dialects import import_config
from weft.engine.foreign_weights import Target, import_chain, read_checkpoint
from weft.engine.model_file import read_model
from weft.errors import WeftError
from weft.io.store import EventStore

try:
    load_spine()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)

from spine.data import TensorBatch
from spine.model.full_chain.model import FullChain

pytestmark = pytest.mark.peer
CONFIG = Path(__file__).parents[1] / "unit/config/spine_full_chain.yaml"
SMALL = {"filters": 4, "depth": 3, "reps": 1}
SPICE = {"uresnet": {"num_input": 4, "spatial_size": 64, **SMALL}, "shapes": [0, 1]}
DBSCAN = {"shapes": [2, 3], "break_shapes": []}
MODES = {"graph_spice": ("graph_spice",), "dbscan_spice": ("dbscan", "spice")}


def chain(mode):
    """The file, with small networks and every answer that an interaction has."""
    document = json.loads(json.dumps(yaml.safe_load(CONFIG.read_text())))
    modules = document["model"]["modules"]
    modules["uresnet_ppn"]["uresnet"] |= SMALL
    modules["uresnet_ppn"]["ppn"]["classify_endpoints"] = True
    modules["graph_spice"]["embedder"]["uresnet"] |= SMALL
    modules["graph_spice"]["kernel"]["num_features"] = SMALL["filters"]
    modules |= {"spice": deepcopy(SPICE), "dbscan": DBSCAN}
    modules["grappa_inter"]["gnn_model"]["node_pred"] |= {"momentum": 1, "vertex": 5}
    losses = {"momentum": {"name": "reg", "target": "p", "loss": "berhu"}, "vertex": {"name": "vertex"}}
    modules["grappa_inter_loss"]["node_loss"] |= losses
    fragmentation = modules["chain"]["stages"][1]
    fragmentation["config"]["mode"] = mode
    fragmentation["uses"] = [name for name in ("dbscan", "graph_spice", "spice") if name in MODES[mode]]
    return document


def network(document):
    """SPINE's chain."""
    modules = deepcopy(document["model"]["modules"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FullChain(**{key: block for key, block in modules.items() if not key.endswith("_loss")})


@pytest.mark.parametrize("mode", MODES)
def test_nothing_of_the_chain_is_left_over(mode, tmp_path):
    document = chain(mode)
    theirs = network(document)
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(document))
    source = tmp_path / "snapshot-9.ckpt"
    torch.save({"global_step": 9, "state_dict": theirs.state_dict(), "config": document}, source)

    experiment = tasks.resolve(import_config(tmp_path / "chain.yaml").validated("lartpc"))
    targets = {
        name: Target(tasks.of(stage), stage.training_options(), tmp_path / f"{name}.ckpt")
        for name, stage in experiment.stages.items()
        if stage.learned
    }
    done, left, unused = import_chain(targets, read_checkpoint(source), source)
    assert set(done) == set(targets)
    assert left == unused == {}
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    assert sum(summary.parameters for summary in done.values()) == parameters
    for name, summary in done.items():
        assert summary.unchecked == ""  # the file says how it was trained
        state = read_model(targets[name].output).state
        names = targets[name].task.foreign_layout().names
        whole = theirs.state_dict()
        for ours, other in names.items():
            tensor = whole[f"{summary.module}.{other}"]
            assert torch.equal(state[ours].reshape(tensor.shape), tensor)


DATASET = {
    "name": "few",
    "source": "simulation",
    "simulation": {"box": {"voxels": 128}},
    "splits": {"train": {"events": 4, "seed": 1}},
}


def as_trained(theirs, sample):
    """Norms that have seen an event, and answers that differ from node to node."""
    torch.manual_seed(3)
    for name, module in theirs.named_modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = None  # the average of all that it sees
            module.reset_running_stats()
        if name.endswith(("edge_pred", "node_pred", "primary_pred", "type_pred", "linear_segmentation")):
            for parameter in module.parameters():
                parameter.data.normal_(0.0, 1.0)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.train()(sample)
    return theirs.eval()


def as_spine(voxels, charge):
    rows = np.concatenate([np.zeros((len(voxels), 1)), voxels, charge], 1).astype(np.float32)
    return TensorBatch(torch.from_numpy(rows), counts=[len(rows)], has_batch_col=True, coord_cols=np.array([1, 2, 3]))


def test_the_chain_divides_events_as_spine_does_with_its_configuration_and_its_weights(tmp_path):
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(DATASET))
    results = ("--results", tmp_path / "results")
    assert weft("simulate", tmp_path / "few.yaml", *results) == 0
    events, output = tmp_path / "events.h5", tmp_path / "found.h5"
    assert weft("convert", next((tmp_path / "results").rglob("*.root")), events) == 0
    document = chain("graph_spice")
    document["base"]["world_size"] = 0
    theirs = network(document)
    with EventStore.open(events) as store:
        theirs = as_trained(theirs, as_spine(store["voxels"][0], store["charge"][0]))
    torch.save({"state_dict": theirs.state_dict(), "config": document}, tmp_path / "all.ckpt")
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(document))
    experiment = tmp_path / "ours.yaml"
    assert weft("import-config", tmp_path / "chain.yaml", "-o", experiment) == 0
    assert weft("import-weights", tmp_path / "all.ckpt", "--experiment", experiment, *results) == 0
    chained = ("--stage", "chain", "--events", events, "--output", output)
    assert weft("deploy", experiment, *results, *chained) == 0
    pairs = 0
    with EventStore.open(events) as store, EventStore.open(output) as ours:
        for k in range(len(store)):
            voxels = store["voxels"][k]
            with torch.inference_mode():
                peer = theirs(as_spine(voxels, store["charge"][k]))
            classes = peer["segmentation"].torch_tensor().argmax(1).numpy()
            np.testing.assert_array_equal(ours["semantics"][k][:, 0], classes)
            found, fragments = ours["fragment_voxels"][k], peer["fragment_clusts"].index_list
            assert len(fragments) > 20
            assert {tuple(rows) for rows in found} == {tuple(sorted(np.asarray(rows))) for rows in fragments}
            # Which fragments may belong together; what is said of them with equal features: test_spine_grappa.py.
            first = np.array([min(rows) for rows in found])
            for instance in ("shower", "track"):
                edges = ours[f"{instance}_edges"][k]
                mine = {tuple(sorted(pair)) for pair in first[np.stack([edges["source"], edges["target"]], 1)].tolist()}
                nodes = [min(np.asarray(rows)) for rows in peer[f"{instance}_fragment_clusts"].index_list]
                index = np.asarray(peer[f"{instance}_fragment_edge_index"].index).T
                assert mine == {tuple(sorted((int(nodes[a]), int(nodes[b])))) for a, b in index}
                pairs += len(mine)
            assert len(ours["reco_particles"][k]) == len(ours["candidates"][k]) > 0
    assert pairs > 1000
