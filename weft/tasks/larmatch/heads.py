"""What is said of triplets: a perceptron for each answer, on nothing but the triplet itself (spec §4.1-4.3).

No layer looks at more than one triplet, so the answer does not depend on which others are asked about at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from weft.io.larmatch_products import KEY_POINT_KINDS
from weft.tasks.larmatch.options import HEADS, Head


def perceptron(widths: Sequence[int], leak: float) -> nn.Sequential:
    """Linear maps with leaky ReLUs between them: [T, widths[0]] to [T, widths[-1]]."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        # In place: torch needs the result alone to undo a slope that is positive.
        layers += [nn.Linear(narrow, wide), nn.LeakyReLU(leak, inplace=leak > 0)]
    return nn.Sequential(*layers[:-1])


class KeyPointHead(nn.Module):
    """A perceptron for each kind of key point: closeness [T, 6] in 0 to 1, after the sigmoid."""

    def __init__(self, channels: int, hidden: Sequence[int], leak: float) -> None:
        super().__init__()
        self.kinds = nn.ModuleDict({kind: perceptron([channels, *hidden, 1], leak) for kind in KEY_POINT_KINDS})

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([head(x) for head in self.kinds.values()], dim=1).sigmoid()


class TripletHeads(nn.Module):
    """`classify_triplets`: the declared heads on features [T, C] of triplets.

    Answers by name: `larmatch` [T] and `semantics` [T, classes] are logits, `key_points` [T, 6] closeness in 0 to 1,
    `affinity` [T, 3] a vector whose direction counts, or where it learned an axis its line, `shift` [T, 6, 3] in cm.

    Args:
        hidden: widths of the hidden layers by head.
        classes: number of semantic classes.
    """

    def __init__(self, channels: int, hidden: Mapping[Head, Sequence[int]], classes: int, leak: float) -> None:
        super().__init__()
        outputs = {"larmatch": 1, "semantics": classes, "affinity": 3, "shift": len(KEY_POINT_KINDS) * 3}
        self.heads = nn.ModuleDict()
        for name in HEADS:  # in this order, whatever that of the options is
            if name == "key_points" and name in hidden:
                self.heads[name] = KeyPointHead(channels, hidden[name], leak)
            elif name in hidden:
                self.heads[name] = perceptron([channels, *hidden[name], outputs[name]], leak)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.heads)

    def forward(self, x: Tensor, only: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Answers about triplets; of the heads `only`, where not of all."""
        answers = {name: self.heads[name](x) for name in (self.names if only is None else only)}
        if "larmatch" in answers:
            answers["larmatch"] = answers["larmatch"].squeeze(1)
        if "shift" in answers:
            answers["shift"] = answers["shift"].unflatten(1, (len(KEY_POINT_KINDS), 3))
        return answers
