"""LArMatch: which triplets of wire pixels are points, what they are, and where key points lie (specs/larmatch.md)."""

from weft.tasks.larmatch.task import Larmatch

TASK = Larmatch
