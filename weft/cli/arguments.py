"""Arguments that several verbs have, and how texts among them are read."""

from __future__ import annotations

from typing import Annotated

import typer

from weft.errors import WeftError

Scale = Annotated[str | None, typer.Option(help="tiny, demo, study or reference; default: as in config/config.yaml")]


Results = Annotated[str | None, typer.Option(help="folder of all results; default: as in config/config.yaml")]


StageName = Annotated[
    str | None, typer.Option("--stage", help="stage; may be left out if there is only one; chain: all (deploy)")
]


Variant = Annotated[str | None, typer.Option(help="seedK, seedK-POINT of a sweep, or baseline; default: the first")]


Overrides = Annotated[list[str] | None, typer.Argument(help="key.path=value, addressing the stage")]


GivenModel = Annotated[str | None, typer.Option("--model", help="a model.ckpt, for the stage that has a checkpoint")]


ExperimentName = Annotated[str, typer.Argument(help="name of a file in config/experiments, or its path")]


def voxels(text: str) -> tuple[int, int, int]:
    """Z,Y,X of a patch as the command line has it."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise WeftError(f"--smallest {text}: expected three numbers of voxels, Z,Y,X")
    z, y, x = map(int, parts)
    return z, y, x


def lengths(text: str) -> tuple[float, float, float]:
    """Z,Y,X as the command line has it."""
    try:
        z, y, x = map(float, text.split(","))
    except ValueError:
        raise WeftError(f"--spacing {text}: expected three lengths in µm, Z,Y,X") from None
    if not 0 < min(z, y, x) <= max(z, y, x) < float("inf"):
        raise WeftError(f"--spacing {text}: expected lengths above 0")
    return z, y, x
