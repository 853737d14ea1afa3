"""Sweeps: one stage trained at several points, and the names that their variants get.

``sweep: {optimizer.lr: [1e-3, 3e-4], model.filters: [16, 32]}`` is a grid of four points, every value with every
other; a list ``sweep: [{}, {optimizer.lr: 3e-4}]`` names its points one by one, ``{}`` being the stage as it is. Keys
are paths inside the stage. A *setting* of a stage says at which point each swept stage stands that it depends on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from weft.config.loading import ConfigError, closest, leaves, merge

if TYPE_CHECKING:
    from weft.config.experiment import Stage

Values = dict[str, Any]
"""what a point changes: value by dotted key"""
Setting = dict[str, str]
"""name of the point by swept stage"""

BASE = "base"
"""name of the point ``{}``"""
LONGEST_NAME = 100
"""characters of a point's name; file systems allow 255 for a folder, and the stages that follow add theirs"""

_ANOTHER_STAGE = "decides which jobs there are: write a second stage instead"
_NO_EFFECT = "does not change the trained model"
_NOT_SWEPT = {
    "task": _ANOTHER_STAGE,
    "needs": _ANOTHER_STAGE,
    "sweep": "cannot be swept itself",
    "follow": "cannot be swept itself",
    "baseline": _NO_EFFECT,
    "evaluation": _NO_EFFECT,
    "resources": _NO_EFFECT,
    "training.workers": _NO_EFFECT,
}


def points_of(sweep: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> list[Values]:
    """The points of a sweep in order; a mapping as a value is taken apart into its keys.

    Raises ValueError for what is no sweep, and for a key that cannot be swept.
    """
    if isinstance(sweep, Mapping):
        for key, listed in sweep.items():
            if not isinstance(listed, list | tuple) or not listed:
                raise ValueError(f"sweep.{key}: expected a list of values, got {listed!r}")
        chosen: Iterable[Any] = (dict(zip(sweep, values, strict=True)) for values in product(*sweep.values()))
    elif isinstance(sweep, list | tuple) and sweep:
        chosen = sweep
    else:
        raise ValueError("sweep: expected {key: [values]} or a list of points {key: value}")
    points = []
    for point in chosen:
        if not isinstance(point, Mapping):
            raise ValueError(f"sweep: expected points {{key: value}}, got {point!r}")
        given = list(leaves(point))
        if len(dict(given)) < len(given):
            raise ValueError(f"sweep: a point gives a key twice: {', '.join(key for key, _ in given)}")
        points.append(dict(given))
    if not any(points):
        raise ValueError("sweep: there is no key to sweep")
    for key in {key: None for point in points for key in point}:
        for fixed, reason in _NOT_SWEPT.items():
            if _same_path(key, fixed):
                raise ValueError(f"sweep.{key}: {fixed} {reason}")
    return points


def names_of(points: Sequence[Values]) -> list[str]:
    """Readable names such as ``lr=0.001-filters=16``, safe as a folder and in a shell.

    A key goes by its shortest ending that no other key of the sweep has. Names that would be too long, or the same for
    different values, end in a hash.
    """
    labels = labels_of({key: None for point in points for key in point})
    plain = ["-".join(f"{labels[key]}={_text(value)}" for key, value in point.items()) or BASE for point in points]
    exact = [json.dumps(point, sort_keys=True, default=str) for point in points]
    meanings: dict[str, set[str]] = {}
    for name, meaning in zip(plain, exact, strict=True):
        meanings.setdefault(name, set()).add(meaning)
    return [
        name
        if len(name) <= LONGEST_NAME and len(meanings[name]) == 1
        else f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(meaning.encode()).hexdigest()[:8]}"
        for name, meaning in zip(plain, exact, strict=True)
    ]


def labels_of(keys: Iterable[str]) -> dict[str, str]:
    """The shortest ending of each dotted key that no other one has; ``optimizer.name`` is ``optimizer``."""
    paths = {key: key.removesuffix(".name").split(".") for key in keys}
    labels = {}
    for key, path in paths.items():
        ends = (path[-n:] for n in range(1, len(path) + 1))
        free = (end for end in ends if not any(other[-len(end) :] == end for k, other in paths.items() if k != key))
        labels[key] = ".".join(next(free, key.split(".")))
    return labels


def expand(stage: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A stage with a sweep, as plain data, at each of its points: ``{name: stage}``. Raises ValueError."""
    plain = {key: value for key, value in stage.items() if key not in {"sweep", "follow", "points"}}
    points = points_of(stage["sweep"])
    made: dict[str, dict[str, Any]] = {}
    for name, point in zip(names_of(points), points, strict=True):
        if name in made:
            raise ValueError(f"sweep: the point {name} is given twice")
        made[name] = merge(plain, _nested(point))
    return made


def require_different(options: Mapping[str, Any], where: str) -> None:
    """Raise where two points would train the same model; ``options``: all it depends on, by the point's name."""
    seen: dict[str, str] = {}
    for name, value in options.items():
        other = seen.setdefault(json.dumps(value, sort_keys=True, default=str), name)
        if other != name:
            raise ConfigError(f"{where}: sweep: {other} and {name} are the same model")


def settings_of(stages: Mapping[str, Stage], name: str) -> list[Setting]:
    """The settings that a stage is trained at: its own points, times those of the earlier stages that it follows."""
    stage = stages[name]
    joined: list[Setting] = [{}]
    for needed in stage.upstream if stage.follow else ():
        if _pinned(stage, needed) is None:
            theirs = settings_of(stages, needed)
            # Two earlier stages that depend on the same sweep stand at the same point of it.
            joined = [
                a | b for a in joined for b in theirs if all(a.get(key, value) == value for key, value in b.items())
            ]
    return [setting | ({name: point} if point else {}) for setting in joined for point in stage.points or [""]]


def setting_name(setting: Setting, stage: str) -> str:
    """The name of a setting of a stage: its own point, then ``<stage>.<point>`` of those it follows; "" for none."""
    followed = [f"{other}.{point}" for other, point in setting.items() if other != stage]
    return "-".join(([setting[stage]] if stage in setting else []) + followed)


def upstream_setting(stages: Mapping[str, Stage], name: str, setting: Setting, needed: str) -> Setting:
    """The setting of an earlier stage that a stage at ``setting`` builds on."""
    theirs, stage = settings_of(stages, needed), stages[name]
    point = _pinned(stage, needed)
    if point is not None:
        return next(other for other in theirs if setting_name(other, needed) == point)
    return next(other for other in theirs if not stage.follow or other.items() <= setting.items())


def baseline_name(stages: Mapping[str, Stage], name: str, setting: Setting) -> str:
    """What of a setting's name a baseline depends on: swept options of ``fitted_with``, and predictions that it reads.

    A baseline knows nothing of the network and its training, so most sweeps have a single one, and its name is "".
    """
    stage, parts = stages[name], []
    if stage.sweep is not None:
        points = points_of(stage.sweep)
        known = [
            {key: value for key, value in point.items() if any(_same_path(key, path) for path in stage.fitted_with)}
            for point in points
        ]
        if any(known):
            parts.append(dict(zip(stage.points, names_of(known), strict=True))[setting[name]])
    for needed in stage.inputs:
        if _pinned(stage, needed) is None:
            theirs = upstream_setting(stages, name, setting, needed)
            parts += [f"{other}.{point}" for other, point in theirs.items() if f"{other}.{point}" not in parts]
    return "-".join(parts)


def require_chosen(stages: Mapping[str, Stage]) -> None:
    """Raise ValueError where it is open which point of a swept stage a later one takes."""
    for name, stage in stages.items():
        for needed in stage.upstream:
            known = [setting_name(setting, needed) for setting in settings_of(stages, needed)]
            point, key = _pinned(stage, needed), f"stages.{name}.needs.{needed}"
            if point is not None and known == [""]:
                raise ValueError(f"{key}.point: stage '{needed}' is not swept")
            if point is not None and point not in known:
                raise ValueError(f"{key}.point: no point '{point}'{closest(point, known)}; it has: {', '.join(known)}")
            if point is None and not stage.follow and len(known) > 1:
                raise ValueError(
                    f"{key}: stage '{needed}' is swept: say `follow: true` in '{name}' to train it at every point, or "
                    f"choose one with {key}.point: {', '.join(known)}"
                )


def require_free(stages: Mapping[str, Any], assignments: Iterable[str]) -> None:
    """Raise where an override sets what the sweep of its stage sets too, so that it would be without effect."""
    for assignment in assignments:
        path = assignment.partition("=")[0].split(".", 2)
        sweep = (stages.get(path[1]) or {}).get("sweep") if path[0] == "stages" and len(path) == 3 else None
        for key in {key: None for point in points_of(sweep) for key in point} if sweep else ():
            if _same_path(key, path[2]):
                raise ConfigError(
                    f"override '{assignment}': {key} is swept in stage '{path[1]}': choose one of its variants, or "
                    f"leave the sweep with stages.{path[1]}.sweep=null"
                )


def _agree(first: Setting, second: Setting) -> bool:
    """Whether two settings stand at the same point of every sweep that both depend on."""
    return all(first.get(stage, point) == point for stage, point in second.items())


def _pinned(stage: Stage, needed: str) -> str | None:
    return stage.needs[needed].point if needed in stage.needs else None


def _nested(point: Values) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    # A block gets its name first: of another name it has other keys.
    for path, value in sorted(point.items(), key=lambda item: not item[0].endswith(".name")):
        for key in reversed(path.split(".")):
            value = {key: value}
        nested = merge(nested, value)
    return nested


def _same_path(key: str, other: str) -> bool:
    """Whether two dotted keys are the same or one lies inside the other."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _text(value: Any) -> str:
    """A value as a word: letters, digits, ``.``, ``-`` and ``_``."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "_".join(_text(item) for item in value)
    return re.sub(r"[^A-Za-z0-9.-]+", "_", repr(value) if isinstance(value, float) else str(value))
