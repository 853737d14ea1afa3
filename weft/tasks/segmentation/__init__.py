"""Voxel segmentation: which class left each deposit (spine_full_chain spec §1.1-1.2)."""

from weft.tasks.segmentation.task import Segmentation

TASK = Segmentation
