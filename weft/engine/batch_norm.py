"""Batch norm over the samples of all ranks (Ioffe & Szegedy 2015), for networks that bring torch's own.

The mean over ranks of what each normalises by itself is another network, and worse the smaller its share of the batch.
torch's synchronised batch norm does not run on CPU; this one does, with the sums of :mod:`weft.sparse.norm`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft.engine.distributed import world_size
from weft.sparse.norm import Standardise, moments_over_ranks


class BatchNormOverRanks(nn.modules.batchnorm._BatchNorm):
    """Batch norm of [N, C, ...] with statistics over the N, and what follows C, of all ranks.

    Parameters, buffers and their names are those of ``nn.BatchNorm1d``, ``2d`` and ``3d``. In evaluation mode, and in
    a process without others, it computes what they do.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected [N, C, ...], found {input.ndim} dimension")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32)).movedim(1, -1)
        rows = values.reshape(-1, values.shape[-1])
        total, mean, var = moments_over_ranks(rows.detach())
        if total < 2:
            raise ValueError(f"batch norm needs more than one value per channel over all ranks, found {total}")
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(var * (total / (total - 1)), momentum)
        out = Standardise.apply(rows, mean, torch.rsqrt(var + self.eps), total)
        if self.affine:
            out = torch.addcmul(self.bias, out, self.weight)
        return out.reshape(values.shape).movedim(-1, 1).to(input.dtype)


def synchronise_batch_norm(network: nn.Module) -> None:
    """Replace torch's batch norms in a network by :class:`BatchNormOverRanks` with the same tensors."""
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
                setattr(module, name, _over_ranks(child))  # type: ignore[arg-type]


def _over_ranks(norm: nn.modules.batchnorm._BatchNorm) -> BatchNormOverRanks:
    new = BatchNormOverRanks(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta"
    )
    new._parameters, new._buffers = norm._parameters, norm._buffers
    new.training = norm.training
    return new
