"""Fit, deploy and evaluate any task."""
