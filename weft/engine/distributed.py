"""The processes that train one model together: how they meet, and what they add up, collect and agree on.

``torchrun`` and :mod:`weft.engine.launch` tell each process its rank in the environment. Every function here is called
by all ranks alike, and costs nothing where there is only one.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from weft.config.experiment import Resources
from weft.errors import WeftError

T = TypeVar("T")


def launched() -> bool:
    """Whether this process was started as one of several ranks, or as the only one by ``torchrun``."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def speaks() -> bool:
    """Whether this process is the one that writes, also before the ranks have met."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def ranks_joined(resources: Resources) -> Iterator[None]:
    """Meet the other ranks, and part from them. Of what is printed, only rank 0's is seen.

    Raises WeftError where the processes that there are do not fit ``resources``.
    """
    world = _world_asked(resources)
    if world == 1:
        yield
        return
    if resources.gpu:
        torch.cuda.set_device(local_rank())
    # With GPUs, what lies in the memory of the host (counts, tables, flags) is still exchanged there.
    dist.init_process_group("cpu:gloo,cuda:nccl" if resources.gpu else "gloo")
    sum_over_ranks(torch.zeros(1))  # a rank that left before all have met would break the others' connections
    if rank() == 0:
        yield
    else:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield
    dist.destroy_process_group()  # not after an error: it might wait for ranks that are gone


def _world_asked(resources: Resources) -> int:
    if not launched():
        tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
        if tasks > 1:
            raise WeftError(
                f"srun started {tasks} processes, which would each train alone and write the same files: start one, "
                "with resources.gpu for the GPUs of a node, or torchrun in one process a node"
            )
        return 1
    world, here = int(os.environ["WORLD_SIZE"]), local_world_size()
    if resources.gpu and here != resources.gpu:
        raise WeftError(
            f"resources.gpu: {resources.gpu} asked for, but {here} processes were started on this machine, and each "
            "needs a GPU of its own"
        )
    if world % here:
        raise WeftError(f"{world} ranks in all, {here} on this machine: every machine must have the same number")
    return world


def trainer_settings(*plugins: Any) -> dict[str, Any]:
    """Arguments of Lightning's ``Trainer`` for this number of ranks, with ``plugins``.

    The environment is said, not looked for: in a Slurm job Lightning would find one that on SIGUSR1 saves a checkpoint
    of its own in the middle of a step, goes on from it, and requeues the job.
    """
    from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
    from lightning.pytorch.strategies import DDPStrategy

    world = world_size()
    if world == 1:
        return {"devices": 1, "plugins": [*plugins, LightningEnvironment()]}
    return {
        "devices": local_world_size(),
        "num_nodes": world // local_world_size(),
        "strategy": DDPStrategy(),
        "plugins": [*plugins, TorchElasticEnvironment()],
    }


def local_rank() -> int:
    """Number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_world_size() -> int:
    """Number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))


def world_size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among all; 0 is the one that writes."""
    return dist.get_rank() if world_size() > 1 else 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The tensor with its sum over all ranks in it."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any rank: the same answer on all."""
    if world_size() == 1:
        return flag
    raised = torch.tensor(int(flag))
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def gather(item: T) -> list[T]:
    """The items of all ranks in order of rank, on every rank."""
    items: list[Any] = [item] * world_size()
    if len(items) > 1:
        dist.all_gather_object(items, item)
    return items


def on_first(make: Callable[[], T]) -> T:
    """What ``make`` gives on rank 0, on every rank; an error there is raised everywhere, so that no rank waits."""
    if world_size() == 1:
        return make()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = make()
        except Exception as error:
            outcome[1] = _sendable(error)
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same where other processes could not read it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        stand_in = WeftError(repr(error))
        stand_in.__cause__ = error
        return stand_in
    return error
