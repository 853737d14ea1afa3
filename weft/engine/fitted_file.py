"""Files of fitted baselines: JSON that begins by saying whose it is; behind one line of it, for some, a pickle.

Only what a baseline of the same kind wrote is read; of anything else one line says what it is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from weft.errors import WeftError
from weft.io.atomic import atomic_path

_LONGEST = 1 << 20  # bytes of the line before a pickle


def write_fitted(path: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write the file of a fitted baseline: ``content`` as one line of JSON."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(_line(kind, content))


def read_fitted(path: Path, kind: str, **expected: Any) -> dict[str, Any]:
    """What :func:`write_fitted` wrote, where it has the ``expected`` values.

    Raises WeftError for a file that is absent, of another kind, cut off, or not as expected.
    """
    with _opened(path) as file:
        return _checked(path, kind, file.read(), expected)


def read_fitted_header(path: Path, kind: str, **expected: Any) -> dict[str, Any]:
    """The line of JSON that a file of either form begins with, for a baseline that has both; as :func:`read_fitted`."""
    with _opened(path) as file:
        return _checked(path, kind, file.readline(), expected)


def write_pickled(path: Path, kind: str, header: Mapping[str, Any], content: Any) -> None:
    """Write ``header`` as one line of JSON, then ``content`` as joblib pickles it."""
    import joblib  # comes with scikit-learn, which few baselines need

    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(_line(kind, header))
        joblib.dump(content, file)


def read_pickled(path: Path, kind: str, **expected: Any) -> tuple[dict[str, Any], Any]:
    """Header and content that :func:`write_pickled` wrote; not a byte of the content is read unless the header is
    as ``expected``. A pickle runs code when it is loaded: load only files that you trust.

    Raises WeftError for a file that is absent, of another kind, cut off, or not as expected.
    """
    import joblib

    with _opened(path) as file:
        header = _checked(path, kind, file.readline(_LONGEST), expected)
        try:
            return header, joblib.load(file)
        except Exception as error:  # there is no telling what the rest of a pickle is taken for
            reason = " ".join(f"{type(error).__name__} {error}".split())
            raise WeftError(f"{path}: damaged or cut off ({reason}); fit the baseline again") from None


def _magic(kind: str) -> str:
    return f"weft {kind} baseline"


def _line(kind: str, content: Mapping[str, Any]) -> bytes:
    return json.dumps({"magic": _magic(kind), **content}).encode() + b"\n"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise WeftError(f"{path}: cannot be read ({error.strerror}); fit the baseline first") from None
    with file:
        yield file


def _checked(path: Path, kind: str, text: bytes, expected: Mapping[str, Any]) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:  # of the text or of its encoding
        content = None
    if not isinstance(content, dict) or content.pop("magic", None) != _magic(kind):
        raise WeftError(f"{path}: not a fitted {kind} baseline; `weft train` with the variant baseline makes one")
    for name, value in expected.items():
        if content.get(name) != value:
            raise WeftError(f"{path}: {name} is {content.get(name)}, expected {value}; fit the baseline again")
    return content
