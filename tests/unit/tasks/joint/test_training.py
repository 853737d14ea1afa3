"""Several modules trained together, beside the same modules composed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from joint_events import STILL, events, options, write_events

from weft import tasks
from weft.config.experiment import Stage
from weft.engine.chain import Link, deploy_chain
from weft.engine.corpus import Corpus
from weft.engine.deploy import deploy
from weft.engine.determinism import seed_generators
from weft.engine.fit import fit
from weft.engine.model_file import ModelFile, read_model, save_model
from weft.engine.predict import predictor
from weft.engine.randomness import batch_events, initial_seed, torch_seed
from weft.errors import WeftError
from weft.io.products import Ragged
from weft.io.store import EventStore

CHAIN = ("points", "graph_spice", "shower", "candidates", "interaction")
WEIGHTS = {"points": 1.0, "graph_spice": 0.5, "spice": 0.5, "shower": 2.0, "interaction": 0.25}
SEED = 0


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("events")
    return [{"truth": write_events(folder / f"{k}.h5", events(4, 10 * k))} for k in range(2)]


def stage_of(given: Mapping[str, Any], **changes: Any) -> Stage:
    training = {"iterations": 2, "batch_size": 3, "validate_every": 2, "log_every": 1, "workers": 0}
    document = {
        "task": "joint", **given, "optimizer": {"name": "Adam", "lr": 0.01}, "schedule": {"name": "constant"},
        "training": training | changes.pop("training", {}),
    } | changes  # fmt: skip
    return Stage.model_validate(document)


def train(stage: Stage, shards: list[dict[str, Path]], folder: Path, **more: Any) -> dict[str, torch.Tensor]:
    record = stage.training_options()
    fit(tasks.of(stage), stage, SEED, shards, shards[:1], folder, folder / "work", record, threads=1, **more)
    return read_model(folder / "model.ckpt").state


def steps(folder: Path) -> pd.DataFrame:
    log = pd.read_csv(folder / "log.csv")
    return log[log["split"] == "train"].reset_index(drop=True)


class Fed(dict[str, Any]):
    """An event of a store with products of other stages over it."""

    def __init__(self, event: Any, **products: Any) -> None:
        super().__init__(products)
        self.event = event

    def __missing__(self, name: str) -> Any:
        return self.event[name]


class ByHand:
    """The chain written out: each network's batch from what the one before it has said."""

    def __init__(self, names: tuple[str, ...], shards: list[dict[str, Path]]) -> None:
        document = options(*names)["model"]["modules"]
        self.tasks = {name: tasks.build(module["task"], still(module)) for name, module in document.items()}
        self.corpus = Corpus(shards)
        seed_generators(initial_seed(SEED))
        self.networks = {name: task.network() for name, task in self.tasks.items() if task.learned}
        weights = [weight for network in self.networks.values() for weight in network.parameters()]
        self.optimizer = torch.optim.Adam(weights, lr=0.01, fused=True)

    def step(self, t: int) -> dict[str, float]:
        """The terms of the loss of one step."""
        seed_generators(torch_seed(SEED, t))
        rows = [int(i) for i in batch_events(SEED, t, 3, len(self.corpus))]
        made: list[dict[str, Any]] = [{} for _ in rows]
        terms = {}
        self.optimizer.zero_grad()
        for name, task in self.tasks.items():
            fed = [Fed(self.corpus[i], **made[k]) for k, i in enumerate(rows)]
            if not task.learned:
                for k, event in enumerate(fed):
                    made[k] |= task.predict_event(event)
                continue
            batch = task.collate([task.sample(e, self.corpus.locate(i), True) for e, i in zip(fed, rows, strict=True)])
            output = self.networks[name](batch)
            for term, (total, weight) in task.loss(output, batch).items():
                terms[f"{name}.{term}"] = WEIGHTS[name] * total / max(float(weight), 1e-30)
            for k, products in enumerate(task.decode(output, batch)):
                made[k] |= products
        torch.stack(list(terms.values())).sum().backward()
        self.optimizer.step()
        return {name: float(term.detach()) for name, term in terms.items()}


def still(module: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a module for its task alone, without random views."""
    known = tasks.load(module["task"]).options_model.model_fields
    section = known["data"].annotation.model_fields if "data" in known else {}
    data = {key: value for key, value in {**STILL, "break_clusters": False}.items() if key in section}
    if module["task"] != "grappa":
        data.pop("break_clusters", None)
    blocks = {key: value for key, value in module.items() if key in ("model", "loss")}
    return blocks | {"data": data | module.get("data", {})}


SUBSETS = (
    CHAIN,
    ("points", "spice"),
    ("graph_spice", "shower"),
    ("fragments", "shower", "candidates", "interaction"),
    ("shower",),
)


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_two_steps_are_those_of_the_modules_composed_by_hand(
    names: tuple[str, ...], shards: list[dict[str, Path]], tmp_path: Path
) -> None:
    by_hand = ByHand(names, shards)
    expected = [by_hand.step(t) for t in range(2)]
    changes = {name: {"weight": WEIGHTS[name]} for name in names if name in WEIGHTS}
    state = train(stage_of(options(*names, **changes)), shards, tmp_path)
    log = steps(tmp_path)
    for t, terms in enumerate(expected):
        assert {name: log[name][t] for name in terms} == pytest.approx(terms, rel=1e-6, abs=1e-9)
    assert {name.partition(".")[0] for name, value in expected[0].items() if value > 0} == by_hand.networks.keys()
    for name, network in by_hand.networks.items():
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(state[f"{name}.{key}"], tensor, rtol=1e-6, atol=1e-7)
    assert len(state) == sum(len(network.state_dict()) for network in by_hand.networks.values())


def test_modules_that_learn_from_the_truth_are_stages_trained_side_by_side(
    shards: list[dict[str, Path]], tmp_path: Path
) -> None:
    names = ("points", "graph_spice", "shower")
    truth = {"train_on": "truth"}
    given = options(*names, graph_spice=truth, shower=truth)
    joint = tasks.build("joint", given)
    first, starts = joint.network().state_dict(), {}
    for name, part in joint.parts().items():
        starts[name] = str(tmp_path / f"{name}.ckpt")
        own = {key.removeprefix(f"{name}."): value for key, value in first.items() if key.startswith(f"{name}.")}
        save_model(Path(starts[name]), ModelFile(own, part.name, {}, {}))
    files = {file: file for file in starts.values()}
    init = {name: {"from": file, "part": "all"} for name, file in starts.items()}
    together = train(stage_of(given, init=init), shards, tmp_path / "joint", weights=files)
    for name in names:
        module = given["model"]["modules"][name]
        alone = stage_of(still(module), task=module["task"], init={"all": starts[name]})
        state = train(alone, shards, tmp_path / name, weights={starts[name]: starts[name]})
        for key, tensor in state.items():
            torch.testing.assert_close(together[f"{name}.{key}"], tensor, rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def trained(shards: list[dict[str, Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a chain that has learned a little, from random views."""
    folder = tmp_path_factory.mktemp("trained")
    train(stage_of(moving(*FULL), training={"iterations": 4}), shards, folder)
    return folder


FULL = ("points", "graph_spice", "fragments", "shower", "candidates", "interaction")
MIXED = {"fragments": {"model": {"providers": {"shower": "dbscan", "track": "graph_spice"}}}}


MODULES = options(*FULL, **MIXED)["model"]["modules"]


def moving(*names: str, **changes: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": options(*names, **(MIXED if "graph_spice" in names else {}) | changes)["model"]}


def test_frozen_modules_stay_as_they_are(shards: list[dict[str, Path]], tmp_path: Path) -> None:
    given = options(*CHAIN)
    seed_generators(initial_seed(SEED))
    before = {name: tensor.clone() for name, tensor in tasks.build("joint", given).network().state_dict().items()}
    after = train(stage_of(given, freeze=["points.trunk", "shower", "interaction.*.bias"]), shards, tmp_path)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if name.startswith(("points.trunk.", "shower."))]
    assert not [name for name in changed if name.startswith("interaction.") and name.endswith("bias")]
    for some in ("points.ppn.", "points.head.", "graph_spice.trunk.", "interaction."):
        assert [name for name in changed if name.startswith(some)], some


def test_each_module_is_a_model_of_its_task(trained: Path, shards: list[dict[str, Path]], tmp_path: Path) -> None:
    whole = read_model(trained / "model.ckpt")
    joint = tasks.build("joint", moving(*FULL))
    found = {path.parent.name for path in trained.glob("modules/*/model.ckpt")}
    assert found == set(FULL)
    for name, task in joint.parts().items():
        if task.learned:
            part = read_model(trained / "modules" / name / "model.ckpt")
            assert part.task == task.name
            assert part.provenance["best_step"] == whole.provenance["best_step"]
            task.network().load_state_dict(part.state)
            for key, tensor in part.state.items():
                assert torch.equal(tensor, whole.state[f"{name}.{key}"])
    # As what another joint training starts from, and as what one module of it starts from.
    file = str(trained / "modules" / "shower" / "model.ckpt")
    start = {"shower": {"from": file, "part": "all"}}
    slow = stage_of(options("shower"), init=start, optimizer={"name": "SGD", "lr": 1e-30})
    state = train(slow, shards, tmp_path, weights={file: file})
    for key, tensor in read_model(Path(file)).state.items():
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(state[f"shower.{key}"], tensor)


def same(a: Any, b: Any) -> None:
    """Integers equal, floats to 1e-6."""
    if isinstance(a, Ragged):
        np.testing.assert_array_equal(a.offsets, b.offsets)
        a, b = a.values, b.values
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    for name in a.dtype.names or [...]:
        if a[name].dtype.kind == "f":
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(a[name], b[name])


def test_its_products_are_those_of_the_staged_deploys(
    trained: Path, shards: list[dict[str, Path]], tmp_path: Path
) -> None:
    joint, events = tasks.build("joint", moving(*FULL)), shards[0]["truth"]
    deploy(joint, trained / "model.ckpt", {"truth": events}, tmp_path / "joint.h5", {}, batch_size=3)
    chained = Link("all", joint, predictor(joint, trained / "model.ckpt", batch_size=3), {})
    deploy_chain([chained], events, tmp_path / "chain.h5", {}, {}, run_length=6)
    files: dict[str, Path] = {"truth": events}
    compared = set()
    for module in joint.wiring.modules:
        output = tmp_path / f"{module.name}.h5"
        needed = {alias: files[alias] for alias in ("truth", *dict.fromkeys(module.providers.values()))}
        model = trained / "modules" / module.name / "model.ckpt"
        # As a stage with the random views of its task, which say nothing about a prediction.
        blocks = {key: value for key, value in MODULES[module.name].items() if key in ("model", "loss", "data")}
        stage = tasks.build(module.task.name, blocks)
        deploy(stage, model, needed, output, {}, providers=module.providers, batch_size=3)
        files[module.name] = output
    together = {"truth": events, "joint": tmp_path / "joint.h5", "chain": tmp_path / "chain.h5"}
    with EventStore.open(files) as staged, EventStore.open(together) as store:
        for (name, product), called in joint._names.items():
            for i in range(len(store)):
                same(staged[f"{name}/{product}"][i], store[f"joint/{called}"][i])
                same(store[f"joint/{called}"][i], store[f"chain/{called}"][i])
            compared.add(called)
        assert compared == set(store.files["joint"].schemas)
        assert {"graph_spice.fragments", "fragments", "candidates", "interaction_pid"} <= compared
        assert sum(len(store["joint/fragments"][i]) for i in range(len(store))) > 3


def test_modules_are_fed_by_earlier_stages(trained: Path, shards: list[dict[str, Path]], tmp_path: Path) -> None:
    joint = tasks.build("joint", moving(*FULL))
    fed = []
    for k, files in enumerate(shards):
        found: dict[str, Path] = dict(files)
        for module in joint.wiring.modules[:3]:
            needed = {alias: found[alias] for alias in ("truth", *dict.fromkeys(module.providers.values()))}
            output = tmp_path / f"{module.name}{k}.h5"
            model = trained / "modules" / module.name / "model.ckpt"
            deploy(module.task, model, needed, output, {}, providers=module.providers)
            found[module.name] = output
        fed.append({"truth": found["truth"], "fragments": found["fragments"]})
    names = ("shower", "candidates", "interaction")
    needs = {"fragments": {"predictions": ["fragments", "fragment_voxels"]}}
    starts = {
        name: {"from": str(trained / "modules" / name / "model.ckpt"), "part": "all"}
        for name in names
        if name != "candidates"
    }
    later = stage_of(moving(*names), needs=needs, init=starts)
    files = {start["from"]: start["from"] for start in starts.values()}
    train(later, fed, tmp_path / "later", weights=files)
    assert set(steps(tmp_path / "later").dropna(axis=1)) > {"shower.edge", "interaction.pid"}
    deploy(
        tasks.of(later), tmp_path / "later" / "model.ckpt", fed[0], tmp_path / "out.h5", {},
        providers=later.providers,
    )  # fmt: skip
    with EventStore.open({**fed[0], "prediction": tmp_path / "out.h5"}) as store:
        for i in range(len(store)):
            assert len(store["prediction/shower_groups"][i]) == len(store["fragments/fragments"][i])


def test_a_training_goes_on_where_it_was_stopped(trained: Path, shards: list[dict[str, Path]], tmp_path: Path) -> None:
    stage = stage_of(moving(*FULL), training={"iterations": 4})
    (checkpoint,) = trained.glob("work/*/previous.ckpt")
    state = train(stage, shards, tmp_path, resume=checkpoint)
    for name, tensor in read_model(trained / "model.ckpt").state.items():
        assert torch.equal(state[name], tensor), name
    timed = ["seconds_per_step", "seconds_data", "seconds_forward", "seconds_backward", "seconds_optimizer",
             "memory_mb"]  # fmt: skip
    first, second = (pd.read_csv(folder / "log.csv").drop(columns=timed) for folder in (trained, tmp_path))
    pd.testing.assert_frame_equal(second, first, check_exact=True)


def test_loader_processes_change_nothing(trained: Path, shards: list[dict[str, Path]], tmp_path: Path) -> None:
    stage = stage_of(moving(*FULL), training={"iterations": 4, "workers": 2})
    state = train(stage, shards, tmp_path)
    for name, tensor in read_model(trained / "model.ckpt").state.items():
        assert torch.equal(state[name], tensor), name


def on_truth(accumulate: int, batch_size: int) -> Stage:
    """Networks without batch norm, whose step does not depend on how it is divided, with balanced losses."""
    layered = {"norm": "layer"}
    balanced = {"primary": {"balance": True, "high_purity": False}}
    given = options(
        "fragments", "shower", "candidates", "interaction",
        shower={"model": layered, "loss": balanced},
        interaction={"model": layered, "loss": balanced, "train_on": "truth", "weight": 0.5},
    )  # fmt: skip
    training = {"accumulate": accumulate, "batch_size": batch_size}
    still = ["*.node_norm", "*.edge_norm"]  # of the input features, which are always over the batch
    return stage_of(given, training=training, freeze=still, optimizer={"name": "SGD", "lr": 0.01})


def test_accumulation_is_exact_where_nothing_learns_from_a_network(tmp_path: Path) -> None:
    shards = [{"truth": write_events(tmp_path / f"{k}.h5", events(4, 20 * k))} for k in range(2)]
    whole = train(on_truth(1, 4), shards, tmp_path / "whole")
    parts = train(on_truth(2, 2), shards, tmp_path / "parts")
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-5, atol=1e-7)
    log, other = (steps(tmp_path / name).dropna(axis=1) for name in ("whole", "parts"))
    terms = [name for name in log if name.startswith(("shower.", "interaction."))]
    assert len(terms) == 6
    assert (log[terms].max() > 0).all()
    np.testing.assert_allclose(other[terms], log[terms], rtol=1e-5, atol=1e-7)


def test_accumulation_is_refused_where_it_would_not_be_exact(shards: list[dict[str, Path]], tmp_path: Path) -> None:
    stage = stage_of(options(*CHAIN), training={"accumulate": 2})
    with pytest.raises(WeftError, match=r"training\.accumulate: module 'graph_spice' learns from what points say"):
        train(stage, shards, tmp_path)


def test_a_module_has_a_learning_rate_of_its_own(shards: list[dict[str, Path]], tmp_path: Path) -> None:
    states = []
    for factor in (1.0, 3.0):
        given = options("points", "graph_spice", graph_spice={"lr_multiplier": factor})
        stage = stage_of(given, training={"iterations": 1}, optimizer={"name": "SGD", "lr": 1e-2})
        states.append(train(stage, shards, tmp_path / str(factor)))
    seed_generators(initial_seed(SEED))
    network = tasks.build("joint", options("points", "graph_spice")).network()
    for name, start in network.named_parameters():
        first, second = states[0][name] - start, states[1][name] - start
        factor = 3.0 if name.startswith("graph_spice.") else 1.0
        torch.testing.assert_close(second, factor * first, rtol=1e-3, atol=1e-6)
    assert any((states[0][n] - w).abs().max() > 1e-3 for n, w in network.named_parameters() if n.startswith("graph"))


def test_events_without_a_voxel_teach_nothing(tmp_path: Path) -> None:
    from grappa_events import nothing, one_shower

    shards = [{"truth": write_events(tmp_path / "a.h5", [nothing(), nothing(), one_shower()])}]
    state = train(stage_of(moving(*FULL), training={"batch_size": 2}), shards, tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point())


def test_the_chain_learns_its_events_by_heart(shards: list[dict[str, Path]], tmp_path: Path) -> None:
    given = options("points", "graph_spice", "shower", "candidates", "interaction",
                    points={"model": {"filters": 4, "norm_momentum": 0.3, "ppn_norm_momentum": 0.3}},
                    graph_spice={"model": {"filters": 4, "norm_momentum": 0.3, "clustering": {"edge_threshold": 0.5}}},
                    shower={"model": {"width": 16}}, interaction={"model": {"width": 16}})  # fmt: skip
    stage = stage_of(given, training={"iterations": 25, "batch_size": 4, "validate_every": 25})
    train(stage, shards[:1], tmp_path)
    log = pd.read_csv(tmp_path / "log.csv")
    first, last = steps(tmp_path).iloc[0], steps(tmp_path).iloc[-1]
    for term in ("points.semantic", "points.position", "interaction.pid", "interaction.primary"):
        assert last[term] < 0.7 * first[term], term
    assert log.iloc[-1]["graph_spice.ari"] > 0.8


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(shards: list[dict[str, Path]], tmp_path: Path) -> None:
    # The Dice coefficient of Graph-SPICE is that of a process, as in its own stage.
    given = options(*CHAIN, graph_spice={"loss": {"dice_weight": 0.0, "balance": True}})
    changes = {"training": {"batch_size": 4}, "optimizer": {"name": "SGD", "lr": 0.01}}
    one = train(stage_of(given, **changes), shards, tmp_path / "one")
    two = train(stage_of(given, **changes, resources={"processes": 2}), shards, tmp_path / "two")
    first, second = (steps(tmp_path / name).dropna(axis=1) for name in ("one", "two"))
    terms = [name for name in first if name.partition(".")[0] in CHAIN]
    assert {name.partition(".")[0] for name in terms if (first[name] > 0).all()} == {*CHAIN} - {"candidates"}
    np.testing.assert_allclose(second[terms], first[terms], rtol=1e-4, atol=1e-6)
    for name, tensor in one.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
