"""The embedded event generator: labelled liquid-argon events from nothing but a seed (docs/simulation.md)."""
