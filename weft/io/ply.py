"""PLY 1.0 files by their header: ASCII, binary little and big endian, any elements and properties in any order.

Rows whose lists all have one length, as triangles have, are read as one array, others after a compiled walk over the
lengths. Values keep the types and the order of the header, so that a file that was read can be written again with
further properties.

Format: G. Turk, The PLY Polygon File Format (1994); type names also as ``int8`` … ``float64``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

import numpy as np

from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.products import Ragged

Form = Literal["ascii", "binary_little_endian", "binary_big_endian"]
Order = Literal["=", "<", ">"]
_ORDER: Mapping[str, Order] = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
#: Name in the header, by type; both spellings are read, the first is written.
_NAMES = {
    "i1": ("char", "int8"),
    "u1": ("uchar", "uint8"),
    "i2": ("short", "int16"),
    "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"),
    "u4": ("uint", "uint32"),
    "f4": ("float", "float32"),
    "f8": ("double", "float64"),
}
_TYPES = {name: np.dtype(code) for code, names in _NAMES.items() for name in names}
_HEADER_BYTES = 1 << 20


class Property(NamedTuple):
    """A column of an element; `length` is the type of the lengths where each value is a list."""

    name: str
    dtype: np.dtype
    length: np.dtype | None = None


@dataclass(frozen=True)
class Element:
    """Rows of one kind. Columns are arrays [rows] in the type of their property, of lists `Ragged` with one item each
    row."""

    name: str
    rows: int
    properties: tuple[Property, ...]
    columns: Mapping[str, np.ndarray | Ragged]

    @classmethod
    def of(cls, name: str, columns: Mapping[str, np.ndarray | Ragged], length: np.dtype | str = "u1") -> Element:
        """Columns in the order of the mapping, with their own types; lengths of lists have the type `length`."""
        properties = [
            Property(key, column.values.dtype, np.dtype(length))
            if isinstance(column, Ragged)
            else Property(key, column.dtype)
            for key, column in columns.items()
        ]
        rows = {len(column) for column in columns.values()}
        if len(rows) > 1:
            raise WeftError(
                f"PLY: columns of {name} have {', '.join(map(str, sorted(rows)))} rows, expected one number"
            )
        return cls(name, rows.pop() if rows else 0, tuple(properties), dict(columns))


@dataclass(frozen=True)
class Ply:
    """A file: elements in their order, and what its header says besides."""

    form: Form
    elements: Mapping[str, Element]
    comments: tuple[str, ...] = ()
    obj_info: tuple[str, ...] = ()


def is_ply(path: str | Path) -> bool:
    """Whether a file is PLY, by its first line."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline(6).strip() == b"ply"


def read_ply(path: str | Path) -> Ply:
    """Read a whole file.

    Raises:
        WeftError: no PLY file, a header that says something unknown, or values that do not fit the header.
    """
    path = Path(path)
    with path.open("rb") as file:
        header = _read_header(path, file)
        rest = file.read()
    text = header.form == "ascii"
    body: _Body = _TextBody(str(path), rest) if text else _BinaryBody(rest, _ORDER[header.form])
    elements, at = {}, 0
    for name, element in header.elements.items():
        elements[name], at = _rows(f"{path}: {name}", body, at, element)
    if at < body.end:
        raise WeftError(f"{path}: {body.end - at} {'values' if text else 'bytes'} after what the header says")
    return replace(header, elements=elements)


def read_header(path: str | Path) -> Ply:
    """Form, comments and elements of a file without their values (no columns); see `read_ply` for errors."""
    path = Path(path)
    with path.open("rb") as file:
        return _read_header(path, file)


def _read_header(path: Path, file: BinaryIO) -> Ply:
    def refuse(why: str) -> WeftError:
        return WeftError(f"{path}: {why}")

    if file.readline(_HEADER_BYTES).strip() != b"ply":
        raise refuse("no PLY file: the first line is not 'ply'")
    form: Form | None = None
    found: list[tuple[str, int, list[Property]]] = []
    comments: list[str] = []
    obj_info: list[str] = []
    for raw in iter(lambda: file.readline(_HEADER_BYTES), b""):
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
        key, _, rest = line.strip().partition(" ")
        words = rest.split()
        if key == "end_header":
            break
        if key == "comment":
            comments.append(rest)
        elif key == "obj_info":
            obj_info.append(rest)
        elif key == "format" and len(words) == 2:
            if words[0] not in _ORDER or words[1] != "1.0":
                raise refuse(f"format '{rest}', expected one of {', '.join(_ORDER)}, version 1.0")
            form = words[0]  # type: ignore[assignment]
        elif key == "element" and len(words) == 2 and words[1].isdigit():
            if words[0] in {name for name, _, _ in found}:
                raise refuse(f"the header declares the element {words[0]} twice")
            found.append((words[0], int(words[1]), []))
        elif key == "property" and found:
            found[-1][2].append(_property(path, words, found[-1][0]))
        elif key:
            raise refuse(f"header line '{line}' is none of PLY")
    else:
        raise refuse("the header does not end: no line end_header")
    if form is None:
        raise refuse("the header says no format")
    for name, _, properties in found:
        names = [one.name for one in properties]
        if len(set(names)) < len(names):
            raise refuse(f"element {name} has two properties of one name")
    elements = {name: Element(name, rows, tuple(properties), {}) for name, rows, properties in found}
    return Ply(form, elements, tuple(comments), tuple(obj_info))


def _property(path: Path, words: list[str], element: str) -> Property:
    """One of ``TYPE NAME`` and ``list TYPE TYPE NAME``."""
    kinds = words[1:3] if words[:1] == ["list"] else words[:1]
    if len(words) != (4 if words[:1] == ["list"] else 2):
        raise WeftError(f"{path}: header line 'property {' '.join(words)}' of {element} is none of PLY")
    unknown = [kind for kind in kinds if kind not in _TYPES]
    if unknown:
        raise WeftError(f"{path}: type '{unknown[0]}' of {element} is none of PLY: {', '.join(_TYPES)}")
    if len(kinds) == 1:
        return Property(words[1], _TYPES[kinds[0]])
    if _TYPES[kinds[0]].kind == "f":
        raise WeftError(f"{path}: lengths of {element} {words[3]} are of type {kinds[0]}, expected an integer")
    return Property(words[3], _TYPES[kinds[1]], _TYPES[kinds[0]])


# -------------------------------------------------------------------------------------------------------- reading


class _Body(Protocol):
    """What follows the header: places are numbers of a text, or bytes.

    Attributes:
        data: uint8 of a binary file, or float64, the numbers of a text.
        big: whether the highest byte of a number comes first.
        end: the place after the last.
    """

    data: np.ndarray
    big: bool
    end: int

    def size(self, dtype: np.dtype) -> int:
        """Places that one value takes."""

    def raw(self, places: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Numbers that begin at places, which may be none of a type."""

    def at(self, places: np.ndarray, prop: Property, dtype: np.dtype) -> np.ndarray:
        """Values of a type that begin at places; raises WeftError where they are none."""


class _TextBody:
    def __init__(self, where: str, body: bytes) -> None:
        self.where = where
        words = body.split()
        try:
            # Every type of PLY is exact in float64.
            self.data = np.array(words, "S").astype(np.float64) if words else np.empty(0)
        except ValueError:
            broken = next(word for word in words if not _is_number(word))
            raise WeftError(f"{where}: '{broken.decode('utf-8', 'replace')[:40]}' is no number") from None
        self.big, self.end = False, len(self.data)

    def size(self, dtype: np.dtype) -> int:
        return 1

    def raw(self, places: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return self.data[places]

    def at(self, places: np.ndarray, prop: Property, dtype: np.dtype) -> np.ndarray:
        values = self.data[places]
        if dtype.kind != "f":
            limits = np.iinfo(dtype)
            bad = ~((values >= limits.min) & (values <= limits.max) & (np.floor(values) == values))
            if bad.any():
                kind = _NAMES[dtype.str[1:]][0]
                raise WeftError(f"{self.where}: {prop.name} is {values[bad][0]:.15g}, expected {kind}")
        return values.astype(dtype)


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


class _BinaryBody:
    def __init__(self, body: bytes, order: Order) -> None:
        self.data, self.order = np.frombuffer(body, np.uint8), order
        self.big, self.end = order == ">", len(body)

    def size(self, dtype: np.dtype) -> int:
        return dtype.itemsize

    def raw(self, places: np.ndarray, dtype: np.dtype) -> np.ndarray:
        raw = np.ascontiguousarray(self.data[places[:, None] + np.arange(dtype.itemsize)])
        return raw.view(dtype.newbyteorder(self.order))[:, 0].astype(dtype)

    def at(self, places: np.ndarray, prop: Property, dtype: np.dtype) -> np.ndarray:
        return self.raw(places, dtype)


class _Places(NamedTuple):
    """Of a property: where the values of each row begin, and how many they are; int64 [rows]."""

    start: np.ndarray
    counts: np.ndarray


def _rows(where: str, body: _Body, at: int, element: Element) -> tuple[Element, int]:
    """An element with the columns of the rows that begin at a place, and where they end."""
    found = _uniform(where, body, at, element)
    places, end = found if found is not None else _walk(where, body, at, element)
    columns: dict[str, np.ndarray | Ragged] = {}
    for prop, (start, counts) in zip(element.properties, places, strict=True):
        if prop.length is None:
            columns[prop.name] = body.at(start, prop, prop.dtype)
            continue
        size = body.size(prop.dtype)
        offsets = np.zeros(element.rows + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        members = np.repeat(start - offsets[:-1] * size, counts) + size * np.arange(offsets[-1])
        columns[prop.name] = Ragged(body.at(members, prop, prop.dtype), offsets)
    return replace(element, columns=columns), end


def _uniform(where: str, body: _Body, at: int, element: Element) -> tuple[list[_Places], int] | None:
    """Places of all values where the lists of every row are as long as those of the first; else None."""
    rows = element.rows
    if not rows:
        return [_Places(np.empty(0, np.int64), np.empty(0, np.int64)) for _ in element.properties], at
    first, end = _row(where, body, at, element, 0)
    width = end - at
    if at + width * rows > body.end:
        if all(prop.length is None for prop in element.properties):
            raise _ends(where, (body.end - at) // width, rows)
        return None
    begin = width * np.arange(rows, dtype=np.int64)
    places = [_Places(start + begin, np.full(rows, count)) for start, count in first]
    for prop, (start, counts) in zip(element.properties, places, strict=True):
        # A guess: where rows differ, another property stands there.
        if prop.length is not None and (body.raw(start - body.size(prop.length), prop.length) != counts).any():
            return None
    return places, at + width * rows


def _walk(where: str, body: _Body, at: int, element: Element) -> tuple[list[_Places], int]:
    """Places of all values, row after row."""
    from weft.io.ply_rows import walk

    lengths = [prop.length for prop in element.properties]
    widths = np.array([0 if one is None else body.size(one) for one in lengths], np.int64)
    limits = np.array([0 if one is None else np.iinfo(one).max for one in lengths], np.int64)
    sizes = np.array([body.size(prop.dtype) for prop in element.properties], np.int64)
    # Of a header that says more rows than the file can hold, the walk ends in the first that is not there.
    rows = min(element.rows, (body.end - at) // int(np.where(widths > 0, widths, sizes).sum()) + 1)
    starts, counts = np.empty((2, len(lengths), rows), np.int64)
    whole, end = walk(body.data, body.big, at, rows, widths, limits, sizes, starts, counts)
    if whole < element.rows:
        _row(where, body, int(end), element, int(whole))  # says what is wrong with it
        raise _ends(where, int(whole), element.rows)
    return [_Places(*both) for both in zip(starts, counts, strict=True)], int(end)


def _row(where: str, body: _Body, at: int, element: Element, row: int) -> tuple[list[tuple[int, int]], int]:
    """Of one row that begins at a place: where the values of each property begin and how many they are; its end.

    Raises WeftError for a length that is none, and where the file ends in the row.
    """
    found, place = [], at
    for prop in element.properties:
        number = 1
        if prop.length is not None:
            before = body.size(prop.length)
            if place + before > body.end:
                raise _ends(where, row, element.rows)
            number = _length(where, body, np.array([place]), prop, row)
            if number < 0:
                raise WeftError(f"{where}: {prop.name} of row {row} has {number} values")
            place += before
        found.append((place, number))
        place += number * body.size(prop.dtype)
    if place > body.end:
        raise _ends(where, row, element.rows)
    return found, place


def _length(where: str, body: _Body, place: np.ndarray, prop: Property, row: int) -> int:
    """Of the list of a row that begins at a place."""
    assert prop.length is not None
    try:
        return int(body.at(place, prop, prop.length)[0])
    except WeftError as error:  # what stands there is part of something else
        raise WeftError(
            f"{error}, the length of row {row} of {where.rpartition(' ')[2]}: are the rows of the header right?"
        ) from None


def _ends(where: str, row: int, rows: int) -> WeftError:
    return WeftError(f"{where}: the file ends in row {row} of {rows}")


# -------------------------------------------------------------------------------------------------------- writing


def write_ply(path: str | Path, ply: Ply) -> Path:
    """Write a file in its form; it appears whole or not at all.

    Raises:
        WeftError: a type that PLY has not, a name with a blank, or a list that is longer than its length can say.
    """
    path = Path(path)
    header = ["ply", f"format {ply.form} 1.0"]
    header += [f"comment {text}" for text in ply.comments] + [f"obj_info {text}" for text in ply.obj_info]
    for element in ply.elements.values():
        header.append(f"element {element.name} {element.rows}")
        header += [_declared(path, element, prop) for prop in element.properties]
    if any("\n" in line or "\r" in line for line in header):
        raise WeftError(f"{path}: a comment or name with a line break")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join([*header, "end_header", ""]).encode("utf-8", "surrogateescape"))
        for element in ply.elements.values():
            file.write(_text(element) if ply.form == "ascii" else _bytes(element, _ORDER[ply.form]))
    return path


def _declared(path: Path, element: Element, prop: Property) -> str:
    column = element.columns[prop.name]
    if len(column) != element.rows:
        raise WeftError(f"{path}: {element.name} {prop.name} has {len(column)} rows of {element.rows}")
    if not prop.name or len(prop.name.split()) != 1:
        raise WeftError(f"{path}: {element.name} has a property '{prop.name}'; names of PLY have no blanks")
    kinds = [kind for kind in (prop.length, prop.dtype) if kind is not None]
    for kind in kinds:
        if kind.str[1:] not in _NAMES:
            raise WeftError(f"{path}: {element.name} {prop.name} is of type {kind}, which PLY has not")
    if isinstance(column, Ragged):
        assert prop.length is not None
        longest = int(column.counts.max(initial=0))
        if longest > np.iinfo(prop.length).max:
            raise WeftError(f"{path}: {element.name} {prop.name} has a list of {longest}, too long for {prop.length}")
        kinds = [prop.length, prop.dtype]
    names = " ".join(_NAMES[kind.str[1:]][0] for kind in kinds)
    return f"property {'list ' if isinstance(column, Ragged) else ''}{names} {prop.name}"


def _text(element: Element) -> bytes:
    """One line a row, every number in the digits that its type needs."""
    columns: list[list[str]] = []
    for prop in element.properties:
        column = element.columns[prop.name]
        if isinstance(column, Ragged):
            words, offsets = _words(column.values), column.offsets.tolist()
            pairs = pairwise(offsets)
            columns.append([" ".join([str(b - a), *words[a:b]]) for a, b in pairs])
        else:
            columns.append(_words(column))
    return "".join(" ".join(row) + "\n" for row in zip(*columns, strict=True)).encode("ascii")


def _words(values: np.ndarray) -> list[str]:
    # Python's shortest digits for float64; numpy knows those of float32.
    if values.dtype == np.float64 or values.dtype.kind != "f":
        return list(map(repr, values.tolist()))
    found: list[str] = values.astype(str).tolist()
    return found


def _bytes(element: Element, order: Order) -> bytes:
    """Rows end to end."""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # rows, place in the row, bytes [n, size]
    row_bytes = np.zeros(element.rows, np.int64)
    for prop in element.properties:
        column = element.columns[prop.name]
        rows = np.arange(element.rows)
        if isinstance(column, Ragged):
            assert prop.length is not None
            counts = column.counts
            parts.append((rows, row_bytes.copy(), _raw(counts.astype(prop.length), order)))
            row_bytes += prop.length.itemsize
            size = prop.dtype.itemsize
            within = np.arange(len(column.values)) - np.repeat(column.offsets[:-1], counts)
            place = np.repeat(row_bytes, counts) + within * size
            parts.append((np.repeat(rows, counts), place, _raw(column.values, order)))
            row_bytes += counts * size
        else:
            parts.append((rows, row_bytes.copy(), _raw(column, order)))
            row_bytes += prop.dtype.itemsize
    starts = np.cumsum(row_bytes) - row_bytes
    out = np.empty(int(row_bytes.sum()), np.uint8)
    for rows, place, raw in parts:
        out[(starts[rows] + place)[:, None] + np.arange(raw.shape[1])] = raw
    return out.tobytes()


def _raw(values: np.ndarray, order: Order) -> np.ndarray:
    """uint8 [n, size], the bytes of values in an order."""
    stored = np.ascontiguousarray(values.astype(values.dtype.newbyteorder(order)))
    return stored.view(np.uint8).reshape(len(values), values.dtype.itemsize)
