"""SPICE: fragments from an embedding of voxels, by a dense network (spine_full_chain spec §1.4)."""

from weft.tasks.spice.task import Spice

TASK = Spice
