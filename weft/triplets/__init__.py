"""Triplets of pixels of three wire planes: candidates for points in space."""
