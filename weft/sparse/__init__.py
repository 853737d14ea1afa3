"""Sparse convolutional networks on voxels, with torch, and numba where it is to be fast on CPU."""

from weft.sparse.convolve import ENGINES, convolve
from weft.sparse.layers import PerVoxel, Pointwise, StridedConv, SubmanifoldConv, TransposedConv, cat
from weft.sparse.norm import VoxelBatchNorm
from weft.sparse.pooling import GlobalPool, Pool, Unpool
from weft.sparse.tensor import CoordinateMaps, SparseTensor
from weft.sparse.uresnet import FeatureMaps, ResidualBlock, SegmentationHead, Style, UResNet

__all__ = [
    "ENGINES",
    "CoordinateMaps",
    "FeatureMaps",
    "GlobalPool",
    "PerVoxel",
    "Pointwise",
    "Pool",
    "ResidualBlock",
    "SegmentationHead",
    "SparseTensor",
    "StridedConv",
    "Style",
    "SubmanifoldConv",
    "TransposedConv",
    "UResNet",
    "Unpool",
    "VoxelBatchNorm",
    "cat",
    "convolve",
]
