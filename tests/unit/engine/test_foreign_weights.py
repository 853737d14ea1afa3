"""Weights of SPINE's U-ResNet under our names. What they compute is compared in tests/peers/test_spine_weights.py."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from weft import tasks
from weft.engine.foreign_weights import import_weights, read_checkpoint
from weft.engine.model_file import load_weights, read_model
from weft.errors import WeftError
from weft.sparse.uresnet import Style

#: Names and shapes of the state dict of SPINE 1.4.3 with the tutorial's uresnet.cfg.
LAYOUT = json.loads((Path(__file__).parent / "spine_uresnet.json").read_text())
SMALL = {"model": {"filters": 4, "depth": 3, "reps": 1}, "data": {"charge": "linear"}}


def small_state(ghost=False, seed=0):
    """A state dict of a small network in SPINE's layout, every tensor filled with other numbers."""
    task = tasks.build("segmentation", {"model": {**SMALL["model"], "ghost": ghost}})
    own = task.network().state_dict()
    generator = torch.Generator().manual_seed(seed)
    return {
        theirs: torch.rand(own[ours].shape, generator=generator) for ours, theirs in task.foreign_layout().names.items()
    }


def take(state, tmp_path, options=SMALL, module=None, **more):
    torch.save({"state_dict": state, "global_step": 10, **more}, tmp_path / "theirs.ckpt")
    task = tasks.build("segmentation", options)
    source, target = tmp_path / "theirs.ckpt", tmp_path / "ours/model.ckpt"
    done = import_weights(task, read_checkpoint(source), source, target, options, module)
    return done, read_model(target).state


def test_the_layout_of_spine_is_that_of_our_network_tensor_by_tensor():
    task = tasks.build("segmentation", {})
    own, names = task.network().state_dict(), task.foreign_layout().names
    assert names.keys() == own.keys()
    assert len(set(names.values())) == len(names)
    assert {name for name in LAYOUT if not name.endswith("num_batches_tracked")} == set(names.values())
    for ours, theirs in names.items():
        assert list(own[ours].shape) == LAYOUT[theirs], (ours, theirs)


def test_weights_arrive_in_their_places(tmp_path):
    state = small_state()
    done, ours = take(state, tmp_path)
    assert done.tool == "SPINE"
    assert done.module == ""
    assert done.unused == {}
    assert torch.equal(ours["trunk.stem.weight"], state["backbone.encoder.input_layer.kernel"])
    # SPINE's decoder begins at the deepest level, ours at the finest.
    assert torch.equal(ours["trunk.up.0.1.weight"], state["backbone.decoder.decoding_conv.1.2.kernel"])
    assert torch.equal(ours["trunk.up.1.1.weight"], state["backbone.decoder.decoding_conv.0.2.kernel"])
    assert torch.equal(ours["trunk.down.1.0.0.running_var"], state["backbone.encoder.encoding_conv.1.0.bn.running_var"])
    assert torch.equal(ours["head.layers.1.module.bias"], state["linear_segmentation.linear.bias"])
    record = json.loads((tmp_path / "ours/model.json").read_text())
    assert record["imported_from"] == "spine"
    assert record["inputs"] == {str(tmp_path / "theirs.ckpt"): file_hash(tmp_path / "theirs.ckpt")}


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_both_heads_have_the_norm_that_spine_shares(tmp_path):
    state = small_state(ghost=True)
    _, ours = take(state, tmp_path, {**SMALL, "model": {**SMALL["model"], "ghost": True}})
    for head in ("head", "ghost_head"):
        assert torch.equal(ours[f"{head}.layers.0.0.running_mean"], state["output.0.bn.running_mean"])
    assert torch.equal(ours["ghost_head.layers.1.module.weight"], state["linear_ghost.linear.weight"])


def test_a_module_of_a_chain_is_found_and_the_others_are_counted(tmp_path):
    state = {f"uresnet.{name}": tensor for name, tensor in small_state().items()}
    state |= {"ppn.final_block.0.conv1.kernel": torch.zeros(27, 4, 4), "ppn.ppn_pixel_pred.linear.bias": torch.zeros(3)}
    done, ours = take(state, tmp_path)
    assert (done.module, done.unused) == ("uresnet", {"ppn": 2})
    assert torch.equal(ours["trunk.stem.weight"], state["uresnet.backbone.encoder.input_layer.kernel"])


def test_the_prefix_of_a_distributed_training_is_nothing(tmp_path):
    done, _ = take({f"module.{name}": tensor for name, tensor in small_state().items()}, tmp_path)
    assert done.module == ""


def test_of_several_such_modules_one_is_chosen_by_name(tmp_path):
    state = {f"{m}.{name}": t for i, m in enumerate("ab") for name, t in small_state(seed=i).items()}
    with pytest.raises(WeftError, match="choose one with --module: a, b"):
        take(state, tmp_path)
    with pytest.raises(WeftError, match=r"no such network in module 'c'; it is in: a, b"):
        take(state, tmp_path, module="c")
    _, ours = take(state, tmp_path, module="b")
    assert torch.equal(ours["trunk.stem.weight"], state["b.backbone.encoder.input_layer.kernel"])


def test_every_missing_unexpected_and_misshapen_tensor_is_named(tmp_path):
    state = small_state()
    del state["output.0.bn.weight"]
    state["linear_ghost.linear.bias"] = torch.zeros(2)
    with pytest.raises(WeftError) as error:
        take(state, tmp_path)
    assert "linear_ghost.linear.bias is not in the network; output.0.bn.weight is missing" in str(error.value)
    state = small_state() | {"linear_segmentation.linear.bias": torch.zeros(6)}
    with pytest.raises(WeftError, match=r"head.layers.1.module.bias has shape \(6,\), the network \(5,\)"):
        take(state, tmp_path)
    assert not (tmp_path / "ours").exists()


def test_a_kernel_of_one_voxel_gains_its_axis(tmp_path):
    options = {**SMALL, "model": {**SMALL["model"], "input_kernel": 1}}
    state = small_state() | {"backbone.encoder.input_layer.kernel": torch.rand(1, 4)}
    _, ours = take(state, tmp_path, options)
    assert torch.equal(ours["trunk.stem.weight"], state["backbone.encoder.input_layer.kernel"][None])


def spine_config(slope):
    return {
        "base": {"seed": 0, "iterations": 10},
        "train": {"optimizer": {"name": "Adam"}},
        "io": {"loader": {"batch_size": 2, "sampler": {"name": "random_sequence", "seed": 1}}},
        "model": {
            "name": "uresnet",
            "modules": {
                "uresnet": {
                    **{"num_input": 1, "num_classes": 5, **SMALL["model"]},
                    "activation": {"name": "lrelu", "negative_slope": slope},
                    "norm_layer": {"name": "batch_norm", "eps": 0.0001},
                }
            },
        },
    }


def test_a_checkpoint_that_says_how_it_was_trained_is_compared_with_the_experiment(tmp_path):
    assert Style().slope == 0.33
    options = tasks.build("segmentation", SMALL).options.model_dump()
    done, _ = take(small_state(), tmp_path, options, config=spine_config(0.33), format_version=2)
    assert done.unchecked == ""
    with pytest.raises(WeftError, match=r"trained with model.leak 0.01, the experiment has 0.33"):
        take(small_state(), tmp_path, options, config=spine_config(0.01), format_version=2)
    done, _ = take(small_state(), tmp_path, options)
    assert done.unchecked == (
        "taken from the experiment: model.leak 0.33, model.norm_eps 0.0001, data.charge linear (the file does not say)"
    )


def test_a_file_of_another_checksum_or_kind_is_refused(tmp_path):
    path = tmp_path / "theirs.ckpt"
    torch.save({"state_dict": small_state()}, path)
    sidecar = tmp_path / "theirs.ckpt.sha256"
    sidecar.write_text(f"{file_hash(path)}  theirs.ckpt\n")
    assert read_checkpoint(path).step is None
    sidecar.write_text(f"{'0' * 64}  theirs.ckpt\n")
    with pytest.raises(WeftError, match=r"does not have the checksum that theirs.ckpt.sha256 says"):
        read_checkpoint(path)
    torch.save({"state_dict": {}, "optimizer": {}}, path)
    sidecar.unlink()
    with pytest.raises(WeftError, match="expected 'state_dict' with tensors; the file has: state_dict, optimizer"):
        read_checkpoint(path)
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(WeftError, match="not a checkpoint of tensors and plain data"):
        read_checkpoint(path)
    with pytest.raises(WeftError, match="cannot be read: No such file"):
        read_checkpoint(tmp_path / "none.ckpt")


class Payload:
    """A pickled object that would run code when it is loaded."""

    def __reduce__(self):
        return (print, ("loaded",))


def test_nothing_but_tensors_and_plain_data_is_unpickled(tmp_path, capsys):
    torch.save({"state_dict": small_state(), "config": Payload()}, tmp_path / "theirs.ckpt")
    with pytest.raises(WeftError, match="not a checkpoint of tensors and plain data"):
        read_checkpoint(tmp_path / "theirs.ckpt")
    assert capsys.readouterr().out == ""


def test_a_task_without_a_layout_says_so(tmp_path):
    task = tasks.build("segmentation", SMALL)
    task.foreign_layout = lambda: None
    torch.save({"state_dict": small_state()}, tmp_path / "theirs.ckpt")
    with pytest.raises(WeftError, match="task 'segmentation' reads no weights of other tools"):
        import_weights(task, read_checkpoint(tmp_path / "theirs.ckpt"), tmp_path / "a", tmp_path / "b.ckpt", SMALL)


def test_what_is_imported_fits_the_network_that_deploy_builds(tmp_path):
    _, ours = take(small_state(), tmp_path)
    network = tasks.build("segmentation", SMALL).network()
    load_weights(network, ours, "model.ckpt")
    content = read_model(tmp_path / "ours/model.ckpt")
    assert content.task == "segmentation"
    assert content.options["data"]["charge"] == "linear"
