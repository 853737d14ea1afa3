"""Fragments without learning: DBSCAN, what other stages found, the truth, or each for some classes (spec §1.6)."""

from weft.tasks.fragments.task import Fragments

TASK = Fragments
