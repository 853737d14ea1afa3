"""Candidates for space points: triplets of pixels of three wire planes (specs/larmatch.md §2). Nothing is learned."""

from weft.tasks.triplets.task import Triplets

TASK = Triplets
