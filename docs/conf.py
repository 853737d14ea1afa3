"""Sphinx: `make docs` writes docs/_build/html."""

from importlib import import_module

from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

import weft
from weft.config import reference
from weft.config.reference import kinds_of, summary, table

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


class Options(SphinxDirective):
    """``{options} weft.config.training.Training``: the keys of a model, or of each model that fits in a place.

    ``:prefix:`` is put before each key; ``:shallow:`` leaves sections inside the model to tables of their own.
    """

    required_arguments = 1
    option_spec = {"prefix": directives.unchanged, "shallow": directives.flag}  # noqa: RUF012, as docutils has it

    def run(self):
        module, _, name = self.arguments[0].rpartition(".")
        source = import_module(module)
        for file in (source.__file__, reference.__file__):
            self.env.note_dependency(str(file))
        kinds = kinds_of(getattr(source, name))
        tables = [table(kind, self.options.get("prefix", ""), "shallow" not in self.options) for kind in kinds]
        if len(kinds) > 1:
            named = [f"**`{kind.model_fields['name'].default}`** {summary(kind)}" for kind in kinds]
            tables = [f"{text}\n\n{rows}" for text, rows in zip(named, tables, strict=True)]
        return self.parse_text_to_nodes("\n\n".join(tables))


def setup(app):
    app.add_directive("options", Options)
