"""Errors of the simulation that a user can mend."""

from weft.errors import WeftError


class SimulationError(WeftError):
    """A setting that cannot be simulated."""
