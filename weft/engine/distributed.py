"""The processes that train one model together: what they add up, collect and agree on.

Every function here is called by all ranks alike, and costs nothing where there is only one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def world_size() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 is the one that writes."""
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
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result
