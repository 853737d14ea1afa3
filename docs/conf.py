"""Sphinx: `make docs` writes docs/_build/html."""

import weft

project = "Weft"
author = "The Weft authors"
copyright = "2026, The Weft authors"
version = release = weft.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# Some links lead to files outside docs/, as they do for a reader of the repository: tests/workflow/test_links.py
# looks at all of them.
suppress_warnings = ["myst.xref_missing"]
html_theme = "furo"
html_title = f"Weft {release}"
exclude_patterns = ["_build"]
