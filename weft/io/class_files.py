"""``classes.txt``: the names of the ids in masks and of the labels of faces, ``<id> <name>`` in each line.

One rule for images and meshes: what is called unclassified, unlabelled, unlabeled or ignore, in capitals or not, is no
class, and neither learned from nor judged.
"""

from __future__ import annotations

from pathlib import Path

from weft.errors import WeftError

#: The name of the file.
CLASSES = "classes.txt"
#: The name that is written for what is no class.
IGNORE = "ignore"
#: Names of ids that are no class.
UNLABELLED = ("unclassified", "unlabelled", "unlabeled", IGNORE)


def is_unlabelled(name: str) -> bool:
    """Whether a name says that what is called so has no valid label."""
    return name.strip().lower() in UNLABELLED


def read_classes(path: str | Path, negative: bool = False) -> dict[int, str]:
    """``{id: name}`` of a ``classes.txt``; the order of its lines is that of the classes.

    Blank lines and those that begin with # say nothing. A name of `UNLABELLED` may stand for several ids.

    Args:
        path: the file.
        negative: whether ids may be below 0, as labels of meshes; whatever they are called, they are no class.

    Raises:
        WeftError: a line that is not ``<id> <name>``, an id or a name that comes twice, no class at all.
    """
    path = Path(path)
    found: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WeftError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#") or text.lower() == CLASSES:
            continue
        code, name = (*text.split(None, 1), "")[:2]
        digits = code.removeprefix("-") if negative else code
        if not digits.isdecimal() or not name:
            ids = "a whole number as its id" if negative else "an id of 0 or more"
            raise WeftError(f"{path}: line {number}: {text!r}, expected <id> <name> with {ids}")
        if int(code) in found or (not is_unlabelled(name) and name in found.values()):
            raise WeftError(f"{path}: line {number}: {text!r}: each id and each name once")
        found[int(code)] = name
    if not any(code >= 0 and not is_unlabelled(name) for code, name in found.items()):
        raise WeftError(f"{path}: names no class")
    return found
