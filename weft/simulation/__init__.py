"""The embedded event generator."""
