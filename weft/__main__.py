"""``python -m weft`` and ``torchrun … -m weft`` are the same program as ``weft``."""

from weft.cli import main

main()
