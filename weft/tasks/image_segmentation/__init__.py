"""Segmentation of pictures: which class each pixel is (mesh_segmentation spec §2.7, "Train Segmentation")."""

from weft.tasks.image_segmentation.task import ImageSegmentation

TASK = ImageSegmentation
