"""Batch normalisation over the voxels of all events and all ranks.

torch's synchronised batch norm does not run on CPU, and averaging per-rank statistics is wrong for ragged batches:
here the counts n, Σx and Σx² are summed over ranks before the mean and the variance are taken.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from weft.sparse.tensor import SparseTensor


class VoxelBatchNorm(nn.Module):
    """Batch norm of features [N, C] with statistics over all voxels of all ranks (Ioffe & Szegedy 2015).

    ``momentum`` is torch's: running = (1 − momentum) · running + momentum · batch. With fewer than two voxels over
    all ranks there is no variance: the running statistics are used instead and left as they are.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.running_mean: Tensor
        self.running_var: Tensor

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_features(self.normalise(x.features))

    def normalise(self, features: Tensor) -> Tensor:
        """Normalised features [N, C], of the type given; statistics are taken in at least float32."""
        values = features.to(torch.promote_types(features.dtype, torch.float32))
        if not self.training:
            return self._affine(values).to(features.dtype)
        distributed = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        if not distributed and len(values) > 1:
            out = nn.functional.batch_norm(
                values, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
            return out.to(features.dtype)
        if not distributed:
            return self._affine(values).to(features.dtype)
        total, mean, var = moments_over_ranks(values.detach())
        if total < 2:
            return self._affine(values).to(features.dtype)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (total / (total - 1)), self.momentum)
        out = Standardise.apply(values, mean, torch.rsqrt(var + self.eps), total)
        return torch.addcmul(self.bias, out, self.weight).to(features.dtype)

    def _affine(self, values: Tensor) -> Tensor:
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return torch.addcmul(self.bias - self.running_mean * scale, values, scale)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}"


def moments_over_ranks(values: Tensor) -> tuple[int, Tensor, Tensor]:
    """Number of rows, mean [C] and biased variance [C] of the rows of all ranks."""
    # Σx² loses digits where the mean is large against the spread, so it is carried in float64.
    rows = values.double()
    sums = torch.cat([rows.sum(0), rows.square().sum(0), rows.new_tensor([len(rows)])])
    dist.all_reduce(sums)
    total = int(sums[-1])
    mean, square = (sums[:-1] / max(total, 1)).chunk(2)
    var = (square - mean.square()).clamp_min(0)
    return total, mean.to(values.dtype), var.to(values.dtype)


class Standardise(torch.autograd.Function):
    """(x − mean) / std with the gradient through mean and std, which depend on the rows of all ranks."""

    @staticmethod
    def forward(ctx, values: Tensor, mean: Tensor, inverse_std: Tensor, total: int) -> Tensor:
        out = (values - mean) * inverse_std
        ctx.save_for_backward(out, inverse_std)
        ctx.total = total
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        out, inverse_std = ctx.saved_tensors
        sums = torch.stack([grad.sum(0), (grad * out).sum(0)])
        dist.all_reduce(sums)
        mean_grad, mean_product = sums / ctx.total
        return (grad - mean_grad - out * mean_product) * inverse_std, None, None, None
