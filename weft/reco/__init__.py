"""Particles and interactions from voxels, and the points that mark them."""
