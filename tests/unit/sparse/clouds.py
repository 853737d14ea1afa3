"""Random voxel clouds for the tests."""

import torch
from torch import Tensor


def cloud(seed: int, points: int, dims: int = 3, events: int = 2, span: int = 5) -> Tensor:
    """Distinct coordinates int32 [N, 1+dims] in [-span, span), shuffled."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.randint(-span, span, (points, 1 + dims), generator=generator)
    coords[:, 0] = torch.randint(0, events, (points,), generator=generator)
    coords = torch.unique(coords, dim=0)
    return coords[torch.randperm(len(coords), generator=generator)].int()


def draw(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers with a gradient."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()
