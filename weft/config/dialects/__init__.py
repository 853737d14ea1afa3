"""Configurations of other tools, read as experiments of ours: `weft import-config`.

A dialect is a table of the tool's keys (``rules.py``); adding one means adding a file with its :class:`Dialect`
and naming it here.
"""

from __future__ import annotations

from pathlib import Path

from weft.config.dialects.dialect import Dialect, Imported, translate
from weft.config.dialects.image_segmentation import IMAGE_SEGMENTATION
from weft.config.dialects.lartpc_mlreco3d import LARTPC_MLRECO3D
from weft.config.dialects.mesh import MESH
from weft.config.dialects.segmenter import SEGMENTER
from weft.config.dialects.segmenter_prediction import SEGMENTER_PREDICTION
from weft.config.dialects.spine import SPINE
from weft.config.dialects.spine_language import load_spine
from weft.config.dialects.stages import Form
from weft.config.loading import ConfigError, closest

__all__ = ["DIALECTS", "Dialect", "Form", "Imported", "import_config", "recognise", "translate"]

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (SPINE, LARTPC_MLRECO3D, SEGMENTER, SEGMENTER_PREDICTION, IMAGE_SEGMENTATION, MESH)
}


def import_config(path: Path, dialect: str = "auto", form: Form = "auto") -> Imported:
    """The experiment that another tool's configuration describes. Raises ConfigError, naming file, key and way out.

    form: whether the stages of a chain are trained one by one, or together; by itself as the tool is mostly used.
    """
    if dialect == "auto":
        return translate(recognise(path), path, form=form)
    if dialect not in DIALECTS:
        raise ConfigError(f"no dialect '{dialect}'{closest(dialect, list(DIALECTS))}; there are: {', '.join(DIALECTS)}")
    return translate(DIALECTS[dialect], path, form=form)


def recognise(path: Path) -> Dialect:
    """The dialect of a file, by the keys that only it has."""
    document = load_spine(path)  # the only one with tags, which plain YAML would stumble over

    def has(key: str) -> bool:
        node = document
        for name in key.split("."):
            if not isinstance(node, dict) or name not in node:
                return False
            node = node[name]
        return True

    found = [d for d in DIALECTS.values() if any(all(map(has, signs)) for signs in d.signs)]
    if len(found) != 1:
        could = "could be of " + " or ".join(d.name for d in found) if found else "is of no known dialect"
        which = f"say which: --dialect, one of {', '.join(DIALECTS)}"
        raise ConfigError(f"{path}: {could} by its keys ({', '.join(document)}); {which}")
    return found[0]
