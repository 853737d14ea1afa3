"""Folders that hold nothing to convert: what was expected, and which folders below may have been meant."""

from __future__ import annotations

from pathlib import Path

from weft.io import mesh_files, stack_files
from weft.io.image_files import IMAGES, MASKS, PICTURES, is_images
from weft.io.mesh_files import is_meshes
from weft.io.stack_files import tiffs_in

_NAMED = 5  # folders that are named


def nothing_in(folder: Path) -> str:
    """Why a folder is no source: the endings of all kinds, and which folders below it hold files with them."""
    said = (
        f"{folder}: no stack, image or mesh in this folder: expected files that end with "
        f"{', '.join(stack_files.ENDINGS)} (stacks), {', '.join(PICTURES)} (images) or "
        f"{', '.join(mesh_files.ENDINGS)} (meshes)"
    )
    below = [str(path.relative_to(folder)) for path in _meant(folder)]
    if not below:
        return said
    more = f" and {len(below) - _NAMED} more" if len(below) > _NAMED else ""
    return f"{said}; such files are in {', '.join(below[:_NAMED])}{more}: name one of these folders"


def _meant(folder: Path) -> list[Path]:
    """Folders below that are sources: with meshes, beside which other pictures are textures; else ``images/*``, beside
    which those in ``masks`` are masks; else with images or stacks."""
    below = _folders(folder)
    images = folder / IMAGES
    inner = _folders(images) if images.is_dir() else []
    for found in (
        [path for path in below if is_meshes(path)],
        [path for path in (images, *inner) if path.is_dir() and (is_images(path) or tiffs_in(path))],
        [path for path in below if path.name != MASKS and (is_images(path) or tiffs_in(path))],
    ):
        if found:
            return found
    return []


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
