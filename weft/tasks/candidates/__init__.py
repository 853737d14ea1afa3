"""Particle candidates: fragments put together by the groups that earlier stages found (spec §1.7, §1.10)."""

from weft.tasks.candidates.task import Candidates

TASK = Candidates
