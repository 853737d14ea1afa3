"""A checkpoint of SPINE's own full chain, split into the networks of an experiment (`pip install spine`)."""

import json
import warnings
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml
from spine_stand_ins import load_spine

from weft import tasks
from weft.config.dialects import import_config
from weft.engine.foreign_weights import Target, import_chain, read_checkpoint
from weft.engine.model_file import read_model
from weft.errors import WeftError

try:
    load_spine()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)

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


@pytest.mark.parametrize("mode", MODES)
def test_nothing_of_the_chain_is_left_over(mode, tmp_path):
    document = chain(mode)
    modules = deepcopy(document["model"]["modules"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = FullChain(**{key: block for key, block in modules.items() if not key.endswith("_loss")})
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
