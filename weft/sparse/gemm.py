"""The matrix product of the torch engine: the fastest that the installed torch offers for the tensors at hand.

On CPU in float32 torch multiplies with MKL, which reaches about half the speed of the oneDNN product in the same
wheel on AMD processors (docs/sparse.md has the figures). oneDNN is reached through the operator that compiled
graphs use for linear layers; other devices and types take ``torch.mm``.
"""

from __future__ import annotations

import torch
from torch import Tensor

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def uses_onednn(a: Tensor) -> bool:
    """Whether products of ``a`` run in oneDNN."""
    return _HAS_ONEDNN and a.dtype == torch.float32 and a.device.type == "cpu"


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` of [n, k] and [k, m], not differentiable; ``a`` contiguous, fastest if ``b`` is too."""
    if uses_onednn(a):
        return torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    return torch.mm(a, b)
