"""Experiments, datasets and result paths."""
