"""Tables of curation (CSV): a row for each stack, with its files, its score and its masks.

A table of candidates says ``raw`` and ``segmentation``; a table of decisions needs only ``image``, what is decided, and
``time`` where time points of one image differ. Paths are seen from the folder of the table. Columns of the Allen
curator (``seg``, ``seg1``, ``seg2``, ``mask``) are read under our names.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weft.config.loading import closest
from weft.errors import WeftError
from weft.io.atomic import atomic_path
from weft.io.stack_files import stem
from weft.volumes.curation.places import Place

PLACES = ("raw", "segmentation", "segmentation_2", "excluding_mask", "merging_mask")
MEASURES = ("foreground", "confidence", "agreement")
COLUMNS = ("image", "time", "raw", "segmentation", "segmentation_2", "score", *PLACES[3:], *MEASURES, "sheet", "note")
OLD_NAMES = {"seg": "segmentation", "seg1": "segmentation", "seg2": "segmentation_2", "mask": "excluding_mask"}


@dataclass(frozen=True)
class Row:
    """One stack."""

    image: str
    time: int | None = None
    raw: Place | None = None
    segmentation: Place | None = None
    segmentation_2: Place | None = None
    score: float | None = None
    """above 0: keep, 0: not; None: nobody has decided"""
    excluding_mask: Place | None = None
    merging_mask: Place | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    sheet: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        return self.image if self.time is None else f"{self.image} T{self.time}"

    @property
    def keep(self) -> bool | None:
        return None if self.score is None else self.score > 0


def read_table(path: Path) -> list[Row]:
    """The rows of a table.

    Raises:
        WeftError: no such file, an unknown column, a score that is no number, or the same stack twice.
    """
    rows = []
    folder = path.parent
    for line, cells in _lines(path):
        where = f"{path}, line {line}"
        places: dict[str, Any] = {name: Place.parse(cells[name], folder) for name in PLACES if cells.get(name)}
        image = cells.get("image") or (stem(places["raw"].path) if "raw" in places else "")
        if not image:
            raise WeftError(f"{where}: neither image nor raw says which stack it is")
        row = Row(
            image,
            int(_number(cells, "time", where)) if cells.get("time") else None,
            score=_number(cells, "score", where) if cells.get("score") else None,
            measures={name: _number(cells, name, where) for name in MEASURES if cells.get(name)},
            sheet=cells.get("sheet", ""),
            note=cells.get("note", ""),
        )
        # The Allen curator writes −1 before it is asked.
        score = None if row.score is None or row.score < 0 else row.score
        rows.append(replace(row, score=score, **places))
    twice = _twice((row.image, row.time) for row in rows)
    if twice is not None:
        raise WeftError(f"{path}: {twice[0]} is listed twice" + ("" if twice[1] is None else f" at time {twice[1]}"))
    return rows


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write a table; columns without anything are left out, but for the score and the excluding mask."""
    folder = path.parent
    lines = []
    for row in rows:
        places = {name: getattr(row, name) for name in PLACES}
        score = {} if row.score is None else {"score": row.score}
        numbers = {name: f"{value:.4g}" for name, value in ({**row.measures} | score).items()}
        cells = {"image": row.image, "time": "" if row.time is None else str(row.time), "sheet": row.sheet}
        cells |= {name: place.written(folder) for name, place in places.items() if place is not None} | numbers
        lines.append(cells | {"note": row.note})
    always = ("image", "raw", "segmentation", "score", "excluding_mask")
    columns = [name for name in COLUMNS if name in always or any(line.get(name) for line in lines)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def decided(candidates: Sequence[Row], decisions: Sequence[Row], source: Path) -> list[Row]:
    """Candidates with what was decided of them; what a decision leaves empty stays as it is.

    source: of the decisions, for the error that names an image which is none of the candidates.
    """
    known = {row.image for row in candidates}
    of: dict[tuple[str, int | None], Row] = {}
    for decision in decisions:
        if decision.image not in known:
            raise WeftError(f"{source}: no image is called '{decision.image}'{closest(decision.image, sorted(known))}")
        of[decision.image, decision.time] = decision
    rows = []
    for row in candidates:
        decision = of.get((row.image, row.time)) or of.get((row.image, None), Row(row.image))
        rows.append(
            replace(
                row,
                score=row.score if decision.score is None else decision.score,
                excluding_mask=decision.excluding_mask or row.excluding_mask,
                merging_mask=decision.merging_mask or row.merging_mask,
                note=decision.note or row.note,
            )
        )
    times = {(row.image, row.time) for row in candidates}
    missing = next((key for key in of if key[1] is not None and key not in times), None)
    if missing is not None:
        raise WeftError(f"{source}: '{missing[0]}' has no time point {missing[1]}")
    return rows


def files_of(path: Path) -> list[Path]:
    """The table, and the masks that it names."""
    masks = [place.path for row in read_table(path) for place in (row.excluding_mask, row.merging_mask) if place]
    return [path, *dict.fromkeys(masks)]


def _lines(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            for name in names:
                if OLD_NAMES.get(name, name) not in COLUMNS:
                    raise WeftError(f"{path}: unknown column '{name}'{closest(name, list(COLUMNS))}")
            own = [OLD_NAMES.get(name, name) for name in names]
            for line in reader:
                values = [value.strip() if isinstance(value, str) else "" for value in line.values()][: len(own)]
                if any(values):
                    yield reader.line_num, dict(zip(own, values, strict=True))
    except FileNotFoundError:
        raise WeftError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WeftError(f"{path}: cannot be read as CSV: {error}") from None


def _number(cells: Mapping[str, str], name: str, where: str) -> float:
    try:
        return float(cells[name])
    except ValueError:
        raise WeftError(f"{where}: {name} is '{cells[name]}', expected a number") from None


def _twice(keys: Iterable[tuple[str, int | None]]) -> tuple[str, int | None] | None:
    seen = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return None
