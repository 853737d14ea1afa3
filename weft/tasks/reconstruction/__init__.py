"""Particles and interactions as objects with positions, energies, types and vertices (spine_full_chain spec §1.11)."""

from weft.tasks.reconstruction.task import Reconstruction

TASK = Reconstruction
