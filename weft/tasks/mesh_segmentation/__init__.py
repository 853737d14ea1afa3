"""Segmentation of textured meshes: which class each face is (NoMeFormer; mesh specification)."""

from weft.tasks.mesh_segmentation.task import MeshSegmentation

TASK = MeshSegmentation
