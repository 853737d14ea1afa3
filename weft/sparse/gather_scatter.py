"""The torch engine: gather, multiply, reduce, with nothing but torch.

For each kernel offset the input rows of its pairs are gathered and multiplied by the offset's matrix into one
contiguous block of products; then every output row sums its products in a fixed order (an embedding bag), so
results are bit-identical from run to run. The offset that pairs each voxel with itself needs no gather.
"""

from __future__ import annotations

import threading

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from weft.sparse.gemm import multiply
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
        return *_gradients(features, weight, grad.contiguous(), ctx.pairs, *ctx.needs_input_grad[:2]), None


def _multiply_reduce(features: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
    products = _workspace(len(pairs), weight.shape[2], features)
    blocks = zip(pairs.in_blocks, weight.unbind(), products.split(pairs.counts), strict=True)
    for k, (rows, matrix, out) in enumerate(blocks):
        if len(rows):
            multiply(features if k == pairs.centre else features.index_select(0, rows), matrix, out)
    return _reduce(products, pairs)


def _gradients(
    features: Tensor, weight: Tensor, grad: Tensor, pairs: Pairs, want_features: bool, want_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients in features and weight; each block of ``grad`` is gathered once for both."""
    products = _workspace(len(pairs) if want_features else 0, features.shape[1], features)
    outs = products.split(pairs.counts) if want_features else ()
    weight_grad = weight.new_zeros(weight.shape) if want_weight else None
    matrices = weight.unbind()
    for k, (in_rows, out_rows) in enumerate(zip(pairs.in_blocks, pairs.out_blocks, strict=True)):
        if len(in_rows):
            centre = k == pairs.centre
            right = grad if centre else grad.index_select(0, out_rows)
            if want_features:
                multiply(right, matrices[k].t(), outs[k])
            if weight_grad is not None:
                left = features if centre else features.index_select(0, in_rows)
                torch.mm(left.t(), right, out=weight_grad[k])
    return _reduce(products, pairs.swapped) if want_features else None, weight_grad


_spaces = threading.local()


def _workspace(rows: int, columns: int, like: Tensor) -> Tensor:
    """Scratch [rows, columns], valid until the next call.

    On CPU one growing buffer per thread and type is kept: fresh pages for tens of megabytes cost as much as the
    products themselves. CUDA's allocator reuses memory by itself.
    """
    if like.device.type != "cpu":
        return like.new_empty(rows, columns)
    buffers: dict[torch.dtype, Tensor] = _spaces.__dict__.setdefault("buffers", {})
    size = rows * columns
    if like.dtype not in buffers or buffers[like.dtype].numel() < size:
        # Made in a validation, it must serve the training step that follows.
        with torch.inference_mode(False):
            buffers[like.dtype] = torch.empty(size, dtype=like.dtype)
    return buffers[like.dtype][:size].view(rows, columns)


def _reduce(products: Tensor, pairs: Pairs) -> Tensor:
    """Sum [n_out, C] of the products [P, C] of every output row, in the order of the offsets."""
    if len(pairs) == 0:
        return products.new_zeros(pairs.n_out, products.shape[1])
    order, boundaries = pairs.by_output
    return F.embedding_bag(order, products, boundaries, mode="sum", include_last_offset=True)
