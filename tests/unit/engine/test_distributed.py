"""Several ranks against one process with the same batches. They are forked here, and started in `test_launch.py`."""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from torch import nn
from toy_task import Toy, ToyOptions, write_shard

from weft import tasks
from weft.config.experiment import Resources, Stage
from weft.engine.batch_norm import BatchNormOverRanks, synchronise_batch_norm
from weft.engine.corpus import Corpus
from weft.engine.distributed import any_rank, gather, on_first, rank, ranks_joined, sum_over_ranks, world_size
from weft.engine.fit import fit
from weft.engine.logs import AGAIN, Interrupted
from weft.engine.memory import PredictedEvents
from weft.engine.model_file import read_model
from weft.engine.stream import EventBatches, TrainingBatches, share
from weft.engine.trainee import Trainee
from weft.errors import WeftError

Shards = list[dict[str, Path]]
CPU = Resources(processes=2)


def on_ranks(world: int, work: Callable[[], object]) -> list[int | None]:
    """Exit codes of forked processes that each call ``work`` as one of several ranks."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)

    def be(number: int) -> None:
        os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number)}
        os.environ |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "TORCHELASTIC_RESTART_COUNT": "0"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
        os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
        torch.set_num_threads(1)
        try:
            work()
        except Interrupted:
            os._exit(AGAIN)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    ranks = [multiprocessing.get_context("fork").Process(target=be, args=[number]) for number in range(world)]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join()
    return [one.exitcode for one in ranks]


def joined(work: Callable[[], object]) -> Callable[[], object]:
    def inside() -> None:
        with ranks_joined(CPU):
            work()

    return inside


@pytest.fixture
def ragged(tmp_path: Path) -> Shards:
    """Ten events in two shards, one of them empty, one much larger than the others."""
    return [
        {"truth": write_shard(tmp_path / "data" / "0.h5", 1, [30, 0, 40, 50, 20, 300])},
        {"truth": write_shard(tmp_path / "data" / "1.h5", 2, [10, 60, 30, 35])},
    ]


def segmentation(processes: int, **training: Any) -> Stage:
    settings = {"iterations": 6, "batch_size": 5, "validate_every": 2, "log_every": 1, "workers": 1}
    return Stage.model_validate(
        {
            "task": "segmentation",
            "model": {"filters": 4, "depth": 3, "reps": 1},
            "loss": {"balance": 1.0},
            "optimizer": {"name": "SGD", "lr": 0.2, "options": {"momentum": 0.9}},
            "training": settings | {"monitor": "accuracy", "mode": "max"} | training,
            "evaluation": {"batch_size": 3},
            "resources": {"processes": processes},
        }
    )


def train(stage: Stage, shards: Shards, output: Path) -> Callable[[], None]:
    def work() -> None:
        fit(tasks.of(stage), stage, 0, shards, shards, output, output / "work", {}, threads=1)

    return work


def compare(one: Path, other: Path, tolerance: float) -> None:
    """Log and weights of two trainings."""
    logs = [pd.read_csv(folder / "log.csv") for folder in (one, other)]
    columns = ["step", "epoch", "split", "loss", "semantic", "lr", "accuracy", "mean_iou"]
    pd.testing.assert_frame_equal(logs[0][columns], logs[1][columns], atol=tolerance, rtol=0)
    models = [read_model(folder / "model.ckpt") for folder in (one, other)]
    assert models[0].provenance["best_step"] == models[1].provenance["best_step"]
    for name, tensor in models[0].state.items():
        torch.testing.assert_close(tensor, models[1].state[name], atol=10 * tolerance, rtol=0)


@pytest.mark.parametrize(("accumulate", "batch_size"), [(1, 5), (2, 2)])
def test_two_ranks_train_as_one_process_does(ragged: Shards, tmp_path: Path, accumulate: int, batch_size: int) -> None:
    """Odd batches, an empty event alone on a rank, voxel batch norm, balanced classes; metrics and best step too."""
    for world in (1, 2):
        stage = segmentation(world, accumulate=accumulate, batch_size=batch_size)
        assert on_ranks(world, train(stage, ragged, tmp_path / str(world))) == [0] * world
        assert read_model(tmp_path / str(world) / "model.ckpt").provenance["ranks"] == world
    compare(tmp_path / "1", tmp_path / "2", 1e-5)
    rows = pd.read_csv(tmp_path / "2" / "log.csv")
    assert rows.groupby("split").step.apply(list).to_dict() == {"train": [1, 2, 3, 4, 5, 6], "val": [2, 4, 6]}


class Told(Toy):
    """One rank gets a signal while it computes the loss of one step; events are scored by the rank that has them."""

    def __init__(self, rank: int, step: int) -> None:
        super().__init__(ToyOptions())
        self.rank, self.left = rank, step

    def loss(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0 and rank() == self.rank:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(*arguments)


def toy_work(task: Toy, stage: Stage, shards: Shards, output: Path) -> Callable[[], None]:
    stage = stage.model_copy(update={"resources": CPU})
    return lambda: fit(task, stage, 0, shards, shards, output, output / "work", {}, threads=1)


@pytest.mark.parametrize("moment", [2, 5, 6])
def test_a_signal_to_one_rank_stops_all_and_they_go_on_bit_identical(
    ragged: Shards, make_stage: Any, tmp_path: Path, moment: int
) -> None:
    """In a step; in the first batch of a validation, which is put off; in the second, that the other rank has not."""
    stage = make_stage(iterations=6, batch_size=5, validate_every=4, workers=1)
    stage = stage.model_copy(update={"evaluation": stage.evaluation.model_copy(update={"batch_size": 4})})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert on_ranks(2, toy_work(Told(0, 0), stage, ragged, whole)) == [0, 0]
    assert on_ranks(2, toy_work(Told(1, moment), stage, ragged, parts)) == [AGAIN, AGAIN]
    log = pd.read_csv(next(parts.glob("work/*/log.csv")))
    assert ("val" in set(log.split)) == (moment == 6)
    assert not (parts / "model.ckpt").exists()
    assert on_ranks(2, toy_work(Told(0, 0), stage, ragged, parts)) == [0, 0]
    states = [read_model(folder / "model.ckpt").state for folder in (whole, parts)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    columns = ["step", "split", "loss", "accuracy"]
    logs = [pd.read_csv(folder / "log.csv")[columns] for folder in (whole, parts)]
    pd.testing.assert_frame_equal(logs[0], logs[1], check_exact=True)


def test_ranks_stop_early_together(ragged: Shards, make_stage: Any, tmp_path: Path) -> None:
    stage = make_stage(iterations=40, batch_size=5, validate_every=2, patience=2, min_delta=10.0)
    assert on_ranks(2, toy_work(Told(0, 0), stage, ragged, tmp_path / "a")) == [0, 0]
    log = pd.read_csv(tmp_path / "a" / "log.csv")
    assert log[log.split == "val"].step.tolist() == [2, 4, 6]
    assert log.step.max() == 6


def test_a_loss_that_is_not_finite_on_one_rank_ends_all_in_that_step(
    ragged: Shards, make_stage: Any, tmp_path: Path
) -> None:
    class Lost(Told):
        def loss(self, *arguments: Any) -> Any:
            self.left -= 1
            total, weight = Toy.loss(self, *arguments)["semantic"]
            bad = self.left == 0 and rank() == self.rank
            return {"semantic": (total + (float("nan") if bad else 0.0), weight)}  # gradients are as they were

    work = toy_work(Lost(1, 3), make_stage(iterations=6, batch_size=5), ragged, tmp_path / "a")

    def told() -> None:
        try:
            work()
        except WeftError as error:
            (tmp_path / f"{os.environ['RANK']}.txt").write_text(str(error))
            raise

    assert on_ranks(2, told) == [1, 1]
    texts = [(tmp_path / f"{number}.txt").read_text() for number in range(2)]
    assert texts[0] == texts[1]
    assert texts[0].startswith("step 3, micro-batch 2: the loss is not finite (semantic nan); events of ")
    assert [path.name for path in tmp_path.rglob("bad_batch*")] == ["bad_batch_step3_rank1.pt"]


def test_gradients_are_exchanged_once_a_step(ragged: Shards, make_stage: Any, tmp_path: Path) -> None:
    """Inside an accumulation each rank has its own; after the last micro-batch all have the sum."""

    class Watched(Toy):
        pass

    def work() -> None:
        same = []

        def watch(self: Trainee) -> None:
            norms = gather([float(weight.grad.norm()) for weight in self.network.parameters()])
            same.append(norms[0] == norms[1])

        Trainee.on_after_backward = watch  # type: ignore[method-assign]
        stage = make_stage(iterations=3, batch_size=5, accumulate=3).model_copy(update={"resources": CPU})
        fit(Watched(ToyOptions()), stage, 0, ragged, ragged, tmp_path / "a", tmp_path / "a" / "work", {}, threads=1)
        assert same == [False, False, True] * 3

    assert on_ranks(2, work) == [0, 0]


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(nn.BatchNorm1d, ()), (nn.BatchNorm1d, (4,)), (nn.BatchNorm2d, (3, 2)), (nn.BatchNorm3d, (2,) * 3)],
)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_over_ranks_is_that_of_the_whole_batch(
    norm: type[nn.BatchNorm1d], shape: tuple[int, ...], momentum: float | None
) -> None:
    torch.manual_seed(0)
    values = torch.randn(7, 3, *shape) + 10 * torch.arange(3.0).view(3, *[1] * len(shape))
    weights = torch.randn_like(values)
    whole = nn.Sequential(norm(3, momentum=momentum))
    nn.init.uniform_(whole[0].weight)
    state = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    entered = values.clone().requires_grad_()
    for _ in range(2):
        expected = whole(entered)
    (expected * weights).sum().backward()

    def work() -> None:
        network = nn.Sequential(norm(3, momentum=momentum))
        network.load_state_dict(state)
        synchronise_batch_norm(network)
        assert type(network[0]) is BatchNormOverRanks
        mine = slice(0, 5) if rank() == 0 else slice(5, 7)
        part = values[mine].clone().requires_grad_()
        for _ in range(2):
            out = network(part)
        (out * weights[mine]).sum().backward()
        torch.testing.assert_close(out, expected[mine].detach(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(part.grad, entered.grad[mine], atol=1e-5, rtol=1e-5)
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(
                sum_over_ranks(parameter.grad), whole.get_parameter(name).grad, atol=1e-5, rtol=1e-5
            )
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, whole.state_dict()[name], atol=1e-5, rtol=1e-5)
        network.eval()
        torch.testing.assert_close(network(values), whole.eval()(values), atol=1e-5, rtol=1e-5)

    assert on_ranks(2, joined(work)) == [0, 0]


def test_what_ranks_agree_on() -> None:
    def work() -> None:
        assert world_size() == 2
        assert gather(f"of {rank()}") == ["of 0", "of 1"]
        assert any_rank(rank() == 1)
        assert not any_rank(False)
        assert on_first(lambda: rank()) == 0
        with pytest.raises(WeftError, match="disk is full"):
            on_first(fail)
        with pytest.raises(WeftError, match=r"Local\('of no module'\)"):
            on_first(fail_locally)
        assert sum_over_ranks(torch.tensor([1, rank()])).tolist() == [2, 1]

    def fail() -> None:
        assert rank() == 0
        raise WeftError("disk is full")

    class Local(Exception):
        """What no other process could make again."""

    def fail_locally() -> None:
        raise Local("of no module")

    assert on_ranks(2, joined(work)) == [0, 0]


def test_only_rank_0_is_heard(tmp_path: Path, capfd: Any) -> None:
    assert on_ranks(2, joined(lambda: print(f"rank {rank()} speaks", flush=True))) == [0, 0]
    assert capfd.readouterr().out == "rank 0 speaks\n"


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("events", [7, 8, 20])
def test_every_rank_validates_a_run_of_events(toy: Toy, tmp_path: Path, world: int, events: int) -> None:
    corpus = Corpus([{"truth": write_shard(tmp_path / "0.h5", 3, [2] * events)}])
    batches = EventBatches(toy, corpus, 4, True, None, world)
    shares = [share(len(batches), number, world) for number in range(world)]
    assert all(len(one) for one in shares)
    seen = [event for one in shares for k in one for event in batches[k].events]
    assert seen == [(0, i) for i in range(events)]
    if world == 1:
        assert len(batches) == -(-events // 4)


def test_part_of_a_store_reads_like_a_store(toy: Toy, ragged: Shards) -> None:
    store = Corpus(ragged).fed(0)
    predictions = [{"semantics": np.full((len(store["truth/semantics"][i]), 1), i, np.int8)} for i in (2, 3, 4)]
    part = PredictedEvents(store, predictions, first=2)
    assert len(part) == 3
    np.testing.assert_array_equal(part.events, store.events[2:5])
    truth = part["truth/semantics"]
    assert len(truth) == 3
    assert truth.counts.tolist() == [40, 50, 20]
    for i in range(3):
        np.testing.assert_array_equal(truth[i], store["truth/semantics"][2 + i])
        assert (part["prediction/semantics"][i] == 2 + i).all()
    with pytest.raises(IndexError):
        truth[3]
    assert part.read("truth/voxels", 1, 10).counts.tolist() == [50, 20]
    assert toy.score(part, "val", "0").events["total"].tolist() == [40, 50, 20]


def test_work_that_cannot_be_shared_is_refused(toy: Toy, ragged: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(ragged)
    with pytest.raises(WeftError, match=r"training\.batch_size: 3 samples cannot be shared by 4 processes"):
        TrainingBatches(toy, corpus, 0, 3, 0, 4)
    with pytest.raises(WeftError, match="2 validation events cannot be shared by 4 processes"):
        EventBatches(toy, corpus, 8, True, 2, 4)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(WeftError, match="srun started 4 processes"), ranks_joined(Resources()):
        pass
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(WeftError, match=r"resources\.gpu: 2 asked for, but 4 processes"),
        ranks_joined(Resources(gpu=2)),
    ):
        pass
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(WeftError, match="4 ranks in all, 3 on this machine"), ranks_joined(Resources()):
        pass
    with pytest.raises(ValueError, match="on GPUs there is one for each"):
        Resources(gpu=2, processes=2)


def test_ranks_and_cores_of_a_job() -> None:
    assert [Resources(gpu=gpu).ranks for gpu in (0, 1, 4)] == [1, 1, 4]
    assert Resources(processes=3, threads=2).cpus == 6
    assert Resources(gpu=4, threads=8).cpus == 32


def test_a_rank_that_fails_takes_the_others_along(ragged: Shards, make_stage: Any, tmp_path: Path) -> None:
    class Failing(Told):
        def loss(self, *arguments: Any) -> Any:
            if rank() == 1:
                raise WeftError("rank 1 cannot")
            return super().loss(*arguments)

    start = time.monotonic()
    assert on_ranks(2, toy_work(Failing(0, 0), make_stage(iterations=2), ragged, tmp_path / "a")) == [1, 1]
    assert time.monotonic() - start < 60
