"""Hard examples: what the network gets most wrong, drawn within a step from its own forward pass (spec §2.7, §5.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def choose_hard(mistake: Tensor, group: Tensor, share: float, temperature: float) -> tuple[Tensor, Tensor]:
    """The hard examples of each group, ⌈share · members⌉ of them, each at most once.

    They are drawn with odds mistake^(1/temperature), by the largest of log odds plus Gumbel noise (arXiv:1903.06059),
    from torch's generator, which the engine seeds before each step; with temperature 0 they are the largest mistakes.

    mistake: float [N] >= 0; group: int64 [N], −1: in none, never chosen.
    Returns bool [N], chosen; float32 [N], members of its group by hard example of it, 0 outside of groups.
    """
    members = torch.bincount(group[group >= 0], minlength=1)
    wanted = (share * members.double()).ceil().long()
    key = mistake
    if temperature > 0:
        tiny = torch.finfo(mistake.dtype).tiny
        gumbel = -torch.empty_like(mistake).exponential_().clamp(min=tiny).log()
        key = mistake.clamp(min=tiny).log() / temperature + gumbel
    # By group, those of none first, and within it the hardest first.
    order = key.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    outside = len(group) - int(members.sum())
    first = outside + members.cumsum(0) - members
    sorted_group = group[order].clamp(min=0)
    place = torch.arange(len(group), device=group.device) - first[sorted_group]
    chosen = torch.zeros_like(group, dtype=torch.bool)
    chosen[order] = (place >= 0) & (place < wanted[sorted_group])
    ratio = (members / wanted.clamp(min=1)).to(mistake)
    return chosen, ratio[group.clamp(min=0)].where(group >= 0, 0.0)
