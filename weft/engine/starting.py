"""Weights that a training starts from, and weights that it leaves as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor, nn

from weft.config.loading import closest
from weft.config.starting import WHOLE, Init
from weft.engine.model_file import require_same
from weft.engine.weights import read_weights, state_hash
from weft.errors import WeftError

State = Mapping[str, Tensor]


def initialise(network: nn.Module, starts: Mapping[str, Init], files: Mapping[str, str | Path]) -> dict[str, str]:
    """Load what ``starts`` says into the network. The innermost init of a tensor decides; of its own part an init must
    give every tensor, and its source must have no other: each missing, unexpected or misshapen one is named.

    starts: ``{module path, or 'all': init}``.
    files: the file of each ``from``.
    Returns ``{file: hash of its tensors}``.
    """
    states = {source: read_weights(Path(path)) for source, path in files.items()}
    own = network.state_dict()
    chosen: dict[str, Tensor] = {}
    inner: list[str] = []
    for module, start in sorted(starts.items(), key=lambda item: -_depth(item[0])):
        source = f"init.{module}: {start.source}"
        if start.source != str(files[start.source]):
            source += f" ({files[start.source]})"
        wanted = _below(own, module)
        if not wanted:
            raise WeftError(f"init.{module}: the network has no such module{_near(module, own)}")
        given = {_join(module, name): tensor for name, tensor in _part(states[start.source], module, start).items()}
        for pattern in start.exclude:
            if not _matching([pattern], [*wanted, *given]):
                raise WeftError(f"init.{module}.except: '{pattern}' matches nothing{_near(pattern, own)}")
        excluded = _matching(start.exclude, [*wanted, *given])
        left = {name for name in given if name not in own and any(_is_below(name, path) for path in inner)}
        settled = excluded | left | chosen.keys()
        taken = {name: tensor for name, tensor in given.items() if name not in settled}
        require_same({name: own[name] for name in wanted if name not in settled}, taken, source)
        chosen |= taken
        inner.append(module)
        unset = sorted(excluded & own.keys())
        note = f"; not {', '.join(unset)}" if unset else ""
        print(f"init: {len(taken)} tensors of {module} from {source.partition(': ')[2]}{note}", flush=True)
    network.load_state_dict(chosen, strict=False)
    return {str(files[source]): state_hash(state) for source, state in states.items()}


def _part(state: State, module: str, start: Init) -> dict[str, Tensor]:
    """The tensors of the part of a source that an init takes, by their names below it."""
    part = start.part or module
    if part == WHOLE:
        return dict(state)
    found = _below(state, part)
    if not found:
        raise WeftError(f"init.{module}: {start.source} has no module '{part}'{_near(part, state)}")
    return {name[len(part) + 1 :]: state[name] for name in found}


def freeze(network: nn.Module, patterns: Iterable[str]) -> list[nn.Module]:
    """Turn gradients off in all that a pattern names; returns the modules among it, which :func:`keep_frozen` keeps in
    evaluation mode, so that batch norm keeps its statistics and dropout drops nothing.

    A pattern (``trunk``, ``trunk.*``, ``*.norm``) that matches a module matches all below it; one that matches only
    parameters (``*.bias``) freezes these and leaves the modules in training mode.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    parameters = dict(network.named_parameters())
    patterns = list(patterns)
    for pattern in patterns:
        if not _matching([pattern], [*modules, *parameters]):
            raise WeftError(f"freeze: '{pattern}' matches no module or parameter{_near(pattern, parameters)}")
    for name in _matching(patterns, parameters):
        parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise WeftError(f"freeze: {', '.join(patterns)} leaves nothing to train")
    frozen = [modules[name] for name in sorted(_matching(patterns, modules))]
    keep_frozen(frozen)
    return frozen


def keep_frozen(modules: Iterable[nn.Module]) -> None:
    """Put modules into evaluation mode, which ``train()`` of what holds them has ended."""
    for module in modules:
        module.training = False


def _matching(patterns: Iterable[str], names: Iterable[str]) -> set[str]:
    """The names that match a pattern, themselves or by a module that they lie in."""
    patterns = list(patterns)
    return {name for name in names if any(fnmatchcase(path, p) for path in _paths(name) for p in patterns)}


def _paths(name: str) -> Iterator[str]:
    """``a.b.c``: ``a``, ``a.b``, ``a.b.c``."""
    parts = name.split(".")
    return (".".join(parts[: k + 1]) for k in range(len(parts)))


def _below(names: Iterable[str], module: str) -> list[str]:
    return [name for name in names if _is_below(name, module)]


def _is_below(name: str, module: str) -> bool:
    return module == WHOLE or name == module or name.startswith(f"{module}.")


def _join(module: str, name: str) -> str:
    """``name`` is empty where an init names a single tensor."""
    return name if module == WHOLE else f"{module}.{name}" if name else module


def _depth(module: str) -> int:
    return 0 if module == WHOLE else module.count(".") + 1


def _near(word: str, names: Iterable[str]) -> str:
    """The closest module or parameter to a name or pattern, and the modules at the top."""
    paths = list(dict.fromkeys(path for name in names for path in _paths(name)))
    top = dict.fromkeys(name.partition(".")[0] for name in paths)
    return f"{closest(word, paths)}; it has: {', '.join(top)}"
