"""Detector geometry and response."""
