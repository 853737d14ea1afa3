"""Weft: reproducible 3-D reconstruction, from detector data to a report."""

__version__ = "0.1.0"
