"""Simulated towns: textured triangle meshes of tiles with exact truth, as files of SUM are (docs/meshes.md)."""
