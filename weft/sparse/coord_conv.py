"""Where a voxel lies, as a feature: convolutions alone do not know (Liu et al., arXiv:1807.03247)."""

from __future__ import annotations

from torch import Tensor


def normalised_coordinates(coords: Tensor, size: int) -> Tensor:
    """float32 [N, D]: (x − S/2) / (S/2), so that the image of S voxels a side spans −1 to 1.

    coords: integer [N, 1+D], batch index first. size: S. Voxels outside the image lie outside of −1 to 1.
    """
    half = size / 2
    return (coords[:, 1:].float() - half) / half
