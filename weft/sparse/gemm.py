"""The matrix product of the torch engine: the fastest that the installed torch offers for the tensors at hand.

On CPU in float32 torch multiplies with MKL, which on AMD processors reaches about half the speed of the oneDNN
product in the same wheel (docs/sparse.md has the figures). oneDNN is reached through the operator that compiled
graphs use for linear layers; other devices and types take ``torch.mm``.

oneDNN compiles a kernel for every new shape, about a millisecond each, and the number of pairs of a kernel offset
is new in every batch. So rows go to oneDNN in blocks of powers of two, of which a training meets few, and what is
left goes to MKL.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_BLOCK = 256
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def uses_onednn(a: Tensor) -> bool:
    """Whether products of ``a`` run in oneDNN."""
    return _HAS_ONEDNN and a.dtype == torch.float32 and a.device.type == "cpu"


def row_blocks(rows: int) -> list[int]:
    """The powers of two, largest first and none below the smallest block, that add up to most of ``rows``."""
    return [1 << bit for bit in range(rows.bit_length() - 1, SMALLEST_BLOCK.bit_length() - 2, -1) if rows >> bit & 1]


def multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """``out = a @ b`` of [n, k] and [k, m], not differentiable; ``a`` and ``out`` contiguous."""
    start = 0
    if uses_onednn(a):
        columns = b.t()
        for size in row_blocks(len(a)):
            block = slice(start, start + size)
            out[block] = torch.ops.mkldnn._linear_pointwise(a[block], columns, None, "none", [], "")
            start += size
    if start == 0:
        torch.mm(a, b, out=out)
    elif start < len(a):
        torch.mm(a[start:], b, out=out[start:])
