"""What a job says while it runs: the rule's log file, and a line that a person can read."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weft.errors import WeftError

AGAIN = 75
"""Exit code of a job that saved its work and wants to be run again (``EX_TEMPFAIL`` of sysexits.h)."""


class Interrupted(WeftError):
    """The job was asked to stop and has saved its state."""


@contextmanager
def job_log(path: str | Path | None) -> Iterator[None]:
    """Send everything that is printed, by libraries in C too, to a log file; errors become one line and an exit code.

    Snakemake does not redirect the output of ``script:`` rules. Exit codes: 1 for a :class:`WeftError`,
    75 for an interrupted job that can go on, 1 with a traceback for anything unforeseen.
    """
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        with open(path, "ab", buffering=0) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        yield
    except Interrupted as error:
        print(error, file=sys.stderr, flush=True)
        raise SystemExit(AGAIN) from None
    except WeftError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
