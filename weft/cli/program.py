"""The program itself: what it is called, its version, and what Ctrl-C does."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import weft


class Verbs(TyperGroup):
    """Typer takes Ctrl-C and the end of a file for somebody who leaves a prompt: it says nothing, or "Aborted."."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("interrupted: no half-written file is left", file=sys.stderr)
            raise typer.Exit(130) from None
        except EOFError as error:
            raise RuntimeError("a file ended before its time") from error


app = typer.Typer(
    name="weft",
    cls=Verbs,
    help="Reproducible 3-D reconstruction. The workflow is run with snakemake; these verbs are its steps, one by one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="print the version and leave")] = False,
) -> None:
    if version:
        print(weft.__version__)
        raise typer.Exit
