"""Learnable steps, one folder each."""
