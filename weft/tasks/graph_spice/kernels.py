"""How alike two voxels are: kernels of pairs of features (spec §1.5).

A kernel gives one logit for each direction of an edge, from x_i to x_j and back. What can be computed once per voxel is
not computed once per edge: there are ten times as many of these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.sparse.norm import VoxelBatchNorm


class Bilinear(nn.Module):
    """x_i · W · x_j (+ bias)."""

    def __init__(self, channels: int, bias: bool = False) -> None:
        super().__init__()
        bound = channels**-0.5
        self.weight = nn.Parameter(torch.empty(1, channels, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1).uniform_(-bound, bound)) if bias else None

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """Logits [E, 2] of edges int64 [E, 2] of voxels with features [N, C]."""
        first, second = edges.t()
        turned = features @ self.weight[0]
        there = (turned[first] * features[second]).sum(1)
        back = (turned[second] * features[first]).sum(1)
        logits = torch.stack([there, back], 1)
        return logits if self.bias is None else logits + self.bias


class MlpKernel(nn.Module):
    """A linear map of what a perceptron makes of both voxels.

    The perceptron sees each voxel once, so its batch norm is over voxels; SPINE's is over the ends of edges, which
    weighs a voxel by its number of neighbours. In evaluation both give the same.
    """

    def __init__(self, channels: int, width: int = 32, depth: int = 2, bias: bool = False) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(width if k else channels, width) for k in range(depth))
        self.norms = nn.ModuleList(VoxelBatchNorm(width) for _ in range(depth))
        self.last = nn.Linear(2 * width, 1, bias=bias)

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """Logits [E, 2] of edges int64 [E, 2] of voxels with features [N, C]."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            assert isinstance(norm, VoxelBatchNorm)
            features = nn.functional.elu(norm.normalise(linear(features)))
        source, target = (features @ weight.t() for weight in self.last.weight.chunk(2, 1))
        first, second = edges.t()
        logits = torch.cat([source[first] + target[second], source[second] + target[first]], 1)
        return logits if self.last.bias is None else logits + self.last.bias


class DistanceKernel(nn.Module):
    """How close two voxels are in place and features, on the scale of either's covariance, as a logit.

    With squared distances d_s², d_f² and the covariances σ of a voxel, p_1 = exp(−d_s²/σ_s1² − d_f²/σ_f1²), p_2 with
    those of the other, p = p_1 + p_2 − p_1·p_2, over the ratio (≥ 1) of the occupancies: the same in both directions.
    Features: place 3, features C, covariance 2, occupancy 1.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, features: Tensor, edges: Tensor) -> Tensor:
        """Logits [E, 2] of edges int64 [E, 2] of voxels with features [N, C + 6]."""
        first, second = (features[ends] for ends in edges.t())
        place, other = ((first[:, part] - second[:, part]).square().sum(1) for part in (slice(0, 3), slice(3, -3)))
        p1, p2 = (
            (-place / (end[:, -3].square() + self.epsilon) - other / (end[:, -2].square() + self.epsilon)).exp()
            for end in (first, second)
        )
        joint = (p1 + p2 - p1 * p2).clamp(0, 1)
        sizes = torch.stack([first[:, -1], second[:, -1]]) + self.epsilon
        ratio = sizes.amax(0) / sizes.amin(0)
        logit = (joint / ratio).clamp(1e-6, 1 - 1e-6).logit()
        return torch.stack([logit, logit], 1)
