"""``weft <verb>``: one thin function per verb. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# isort: off
# The verbs stand in `weft --help` in the order in which their modules are read.
from weft.cli import data, stages, deploying, foreign, machine  # noqa: F401

# isort: on
from weft.cli.curation import curation
from weft.cli.program import app
from weft.errors import WeftError

app.add_typer(curation, name="curate")


def main() -> None:
    """Run a verb; what the user can mend is said in one line."""
    sys.exit(_main(app))


def _main(command: Callable[..., Any]) -> int:
    from weft.engine.logs import AGAIN, Interrupted

    try:
        command()
    except Interrupted as error:
        print(error, file=sys.stderr)
        return AGAIN
    except WeftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return 0
