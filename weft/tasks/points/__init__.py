"""Point proposal (PPN): where particles start and end (spine_full_chain spec §1.3)."""

from weft.tasks.points.task import Points

TASK = Points
