"""Segmentation of dense stacks, such as of a microscope: which class each voxel is (microscopy spec)."""

from weft.tasks.volume_segmentation.task import VolumeSegmentation

TASK = VolumeSegmentation
