"""LArMatch trained on small events: alone, as a stage, from a file and back."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from larmatch_tasks import HEADS, SMALL, batch_of, network_of, small_task
from wire_events import event, nothing, single_plane

from weft.config.experiment import Stage
from weft.engine.corpus import Corpus
from weft.engine.deploy import deploy
from weft.engine.fit import fit, fit_baseline
from weft.engine.model_file import load_weights, read_model, save_model
from weft.errors import WeftError
from weft.io.deposits import WIRE_DEPOSITS
from weft.io.products import PARTICLES, EventId
from weft.io.store import EventStore
from weft.io.wire_products import PIXELS, TRIPLETS
from weft.io.writer import StoreWriter
from weft.tasks.larmatch.prior import shifted

EVENTS = [event(0, dead=20), nothing(), event(1), single_plane(), event(2)]
PROVIDERS = {"pixels": "triplets", "triplets": "triplets"}


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> dict[str, Path]:
    """Truth and triplets of the events, as a dataset and an earlier stage leave them."""
    folder = tmp_path_factory.mktemp("events")
    particles = dataclasses.replace(PARTICLES, codes={**PARTICLES.codes, "process": {0: "primary", 1: "Decay"}})
    files = {"truth": [WIRE_DEPOSITS, particles], "triplets": [PIXELS, TRIPLETS]}
    for alias, schemas in files.items():
        parents = {}
        if alias == "triplets":
            with EventStore.open(folder / "truth.h5") as store:
                parents = {"truth": next(iter(store.files.values())).content_hash}
        with StoreWriter(folder / f"{alias}.h5", schemas, provenance={}, parents=parents) as writer:
            for k, one in enumerate(EVENTS):
                named = {s.name: one[f"truth/{s.name}" if alias == "truth" else s.name] for s in schemas}
                writer.append(EventId(1, 0, k, k), named)
    return {alias: folder / f"{alias}.h5" for alias in files}


def trained(task, shard, output: Path, iterations=2, **training) -> Path:
    stage = {
        "task": "larmatch",
        "needs": {"triplets": {"predictions": ["pixels", "triplets"]}, "truth": ["wire_deposits", "particles"]},
        "training": {
            "iterations": iterations,
            "batch_size": 2,
            "validate_every": iterations,
            "log_every": 1,
            **training,
        },
    }
    fit(task, Stage.model_validate(stage), 0, [shard], [shard], output, output / "work", {})
    return output / "model.ckpt"


def test_four_events_are_learned_by_heart():
    """Spec §12.12: the loss drops by more than 90 % (here in a few seconds)."""
    task = small_task(
        {"stem_width": 8, "widths": [8, 16, 24], "features": 8, "heads": {name: [24, 24] for name in HEADS}}
    )
    torch.manual_seed(0)
    network = task.network().train()
    batch = batch_of(task, *(event(k) for k in range(4)), labels=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    steps = 100
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, steps)

    def means():
        return {name: total / weight for name, (total, weight) in task.loss(network(batch), batch).items()}

    first = {name: float(mean.detach()) for name, mean in means().items()}
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(means().values())).sum().backward()
        optimizer.step()
        schedule.step()
    network.eval()  # with the running statistics, as a deploy sees it
    with torch.no_grad():
        last = {name: float(mean) for name, mean in means().items()}
    assert sum(last.values()) < 0.1 * sum(first.values()), (first, last)
    assert first.keys() == HEADS.keys()
    assert all(last[name] < 0.5 * first[name] for name in HEADS), (first, last)


def test_a_model_file_keeps_the_scores_bit_by_bit(tmp_path, shard):
    """Spec §12.13, through training, file and deploy."""
    task = small_task(data={"min_score": 0})
    model = trained(task, shard, tmp_path)
    network = task.network()
    load_weights(network, read_model(model).state, str(model))
    deploy(task, model, shard, tmp_path / "out.h5", {}, providers=PROVIDERS, batch_size=2)
    with torch.inference_mode():
        batches = [batch_of(task, *EVENTS[k : k + 2]) for k in (0, 2, 4)]
        expected = [made["triplet_scores"] for batch in batches for made in task.predict(network.eval(), batch)]
    with EventStore.open({**shard, "prediction": tmp_path / "out.h5"}) as store:
        scores = store["prediction/triplet_scores"]
        for k, one in enumerate(expected):
            assert np.array_equal(scores[k], one.values)
            assert np.array_equal(scores.index(k), one.index)
    assert sum(len(one.values) for one in expected) > 400


def test_a_deploy_knows_the_share_of_good_triplets_in_the_training(tmp_path, shard):
    balanced, probable = (small_task(data={"min_score": 0, "prior": prior}) for prior in ("balanced", "events"))
    model = trained(balanced, shard, tmp_path)
    good = np.concatenate([balanced.sample(one, (0, 0), True).arrays["good"] for one in EVENTS])
    counted = {"events": 5, "good": int((good == 1).sum()), "ghosts": int((good == 0).sum())}
    assert read_model(model).provenance["measured"] == counted
    said = []
    for k, task in enumerate((balanced, probable)):
        deploy(task, model, shard, tmp_path / f"{k}.h5", {}, providers=PROVIDERS, batch_size=2)
        with EventStore.open({**shard, "prediction": tmp_path / f"{k}.h5"}) as store:
            said.append(np.asarray(store["prediction/triplet_scores"][0]["larmatch"]))
    shift = np.log(counted["good"] / counted["ghosts"])
    np.testing.assert_allclose(said[1], shifted(said[0], shift), rtol=1e-5)
    assert abs(shift) > 0.1
    # A file of an earlier version says nothing of it.
    content = read_model(model)
    del content.provenance["measured"]
    save_model(tmp_path / "old.ckpt", content)
    with pytest.raises(WeftError, match=r"old\.ckpt: data\.prior: events: the model does not say how many"):
        deploy(probable, tmp_path / "old.ckpt", shard, tmp_path / "no.h5", {}, providers=PROVIDERS)


def test_a_training_is_repeated_bit_by_bit_and_its_loss_is_finite(tmp_path, shard):
    task = small_task(loss={"uncertainty": {}, "larmatch": {"hard": {}}})
    states = [read_model(trained(task, shard, tmp_path / name, 4)).state for name in ("a", "b")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    log = pd.read_csv(tmp_path / "a" / "log.csv")
    assert np.isfinite(log[log.split == "train"][["loss", *HEADS]]).all(axis=None)
    assert np.isfinite(log[log.split == "val"]["loss"]).all()
    assert not torch.equal(states[0]["log_variance.larmatch"], torch.tensor(0.0))


def test_micro_batches_add_up_to_a_step(tmp_path, shard):
    """Without batch norm, whose statistics are those of a micro-batch."""
    task = small_task({"norm": "layer"}, data={"sampling": {"triplets": None}, "flip": False, "shift": 0,
                                               "charge_jitter": 0})  # fmt: skip
    assert task.not_accumulated() is None
    logs = []
    for name, sizes in (("whole", {"batch_size": 4}), ("parts", {"batch_size": 2, "accumulate": 2})):
        trained(task, shard, tmp_path / name, 1, **sizes)
        log = pd.read_csv(tmp_path / name / "log.csv")
        logs.append(log[log.split == "train"].iloc[0][["loss", *HEADS]].astype(float))
    assert logs[0].to_numpy() == pytest.approx(logs[1].to_numpy(), rel=1e-5)


def test_a_deploy_transforms_its_input_as_the_training_did(tmp_path, shard):
    model = trained(small_task(), shard, tmp_path)
    for data in ({"charge_scale": 40}, {"charge_clip": 5}, {"labels": {"sigma": 5}}):
        with pytest.raises(WeftError, match=f"trained with data.{next(iter(data))} = "):
            deploy(small_task(data=data), model, shard, tmp_path / "out.h5", {}, providers=PROVIDERS)
    free = {"min_score": 0.5, "chunk": 7, "flip": False, "shift": 3, "charge_jitter": 0.2, "sampling": {"triplets": 5},
            "labels": {"truth": "pixels", "origin": [1, 2, 3]}}  # fmt: skip
    deploy(small_task(data=free), model, shard, tmp_path / "out.h5", {}, providers=PROVIDERS)
    with EventStore.open({**shard, "prediction": tmp_path / "out.h5"}) as store:
        scores = [store["prediction/triplet_scores"][k]["larmatch"] for k in range(len(store))]
    assert all((score >= 0.5).all() for score in scores)


def test_of_events_without_triplets_nothing_is_learned():
    task = small_task()
    network = network_of(task).train()
    for events in ([nothing(), nothing()], [single_plane()]):
        batch = batch_of(task, *events, labels=True)
        terms = task.loss(network(batch), batch)
        assert all(float(total.detach()) == float(weight) == 0 for total, weight in terms.values())
        torch.stack([total for total, _ in terms.values()]).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients
    assert all((gradient == 0).all() for gradient in gradients)


def test_classes_may_ask_for_the_process_that_made_a_particle(tmp_path, shard):
    """What its codes mean is in the file: in training, validation and baseline."""
    rules = [{"label": "primary", "process": ["primary"]}, {"label": "other", "process": ["Decay"]}]
    classes = {"name": "by process", "classes": ["other", "primary"], "rules": rules}
    task = small_task(data={"labels": {"classes": classes}})
    corpus = Corpus([shard], PROVIDERS)
    semantic = task.sample(corpus[0], (0, 0), True).arrays["semantic"]
    assert set(semantic.tolist()) == {-1, 1}
    log = pd.read_csv(trained(task, shard, tmp_path).parent / "log.csv")
    assert np.isfinite(log[log.split == "val"]["loss"]).all()
    fit_baseline(task, [shard], tmp_path / "baseline", {}, 0, [PROVIDERS])
    with pytest.raises(WeftError, match="codes mean was not given"):
        task.sample(EVENTS[0], (0, 0), True)


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_engines_agree(engine):
    task = small_task({"engine": engine})
    reference = network_of(small_task())
    network = task.network().eval()
    network.load_state_dict(reference.state_dict())
    batch = batch_of(task, event(0))
    with torch.inference_mode():
        assert torch.allclose(network(batch)["larmatch"], reference(batch)["larmatch"], atol=1e-5)


def test_the_task_says_what_it_needs_and_makes():
    task = small_task()
    assert task.reads == ("pixels", "triplets")
    assert task.labels == ("wire_deposits", "particles")
    (schema,) = task.makes
    assert (schema.name, schema.on, schema.filtered) == ("triplet_scores", "triplets", True)
    assert [name for name in schema.dtype.names if name.startswith("class_")] == [
        "class_electron", "class_photon", "class_muon", "class_pion", "class_proton"]  # fmt: skip
    assert SMALL["heads"] == HEADS
