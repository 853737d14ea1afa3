"""The torch engine: gather, multiply, reduce, with nothing but torch.

For each kernel offset the input rows of its pairs are gathered and multiplied by the offset's matrix into one
contiguous block of products; then every output row sums its products in a fixed order (an embedding bag), so
results are bit-identical from run to run. The offset that pairs each voxel with itself needs no gather.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from weft.sparse.kernel_map import KernelMap, Pairs


def gather_scatter_convolution(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Convolution [N_out, Cout]; see :func:`weft.sparse.convolve.convolve`."""
    return _GatherScatter.apply(features, weight, kernel_map.pairs)


class _GatherScatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
        features = features.contiguous()
        ctx.save_for_backward(features, weight)
        ctx.pairs = pairs
        return _multiply_reduce(features, weight, pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        grad = grad.contiguous()
        grad_features = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_features = _multiply_reduce(grad, weight.transpose(1, 2), ctx.pairs.swapped)
        if ctx.needs_input_grad[1]:
            grad_weight = _correlate(features, grad, ctx.pairs)
        return grad_features, grad_weight, None


def _multiply_reduce(features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
    if len(pairs) == 0:
        return features.new_zeros(pairs.n_out, weight.shape[2])
    products = features.new_empty(len(pairs), weight.shape[2])
    for k, (start, stop) in enumerate(zip(pairs.starts, pairs.starts[1:], strict=False)):
        if start < stop:
            rows = features if k == pairs.centre else features.index_select(0, pairs.in_rows[start:stop])
            torch.mm(rows, weight[k], out=products[start:stop])
    order, boundaries = pairs.by_output
    return F.embedding_bag(order, products, boundaries, mode="sum", include_last_offset=True)


def _correlate(features: Tensor, grad: Tensor, pairs: Pairs) -> Tensor:
    weight_grad = features.new_zeros(len(pairs.counts), features.shape[1], grad.shape[1])
    for k, (start, stop) in enumerate(zip(pairs.starts, pairs.starts[1:], strict=False)):
        if start < stop:
            centre = k == pairs.centre
            left = features if centre else features.index_select(0, pairs.in_rows[start:stop])
            right = grad if centre else grad.index_select(0, pairs.out_rows[start:stop])
            torch.mm(left.t(), right, out=weight_grad[k])
    return weight_grad
