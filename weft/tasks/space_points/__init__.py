"""From scores of triplets to space points and key points; nothing is learned (spec §6, §9)."""

from weft.tasks.space_points.task import SpacePoints

TASK = SpacePoints
