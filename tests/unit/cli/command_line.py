"""The command line, called from a test."""

import sys

from weft import cli


def weft(*arguments: object) -> int:
    """The exit code of ``weft ARGUMENTS``."""
    old, sys.argv = sys.argv, ["weft", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = old
    return 0
