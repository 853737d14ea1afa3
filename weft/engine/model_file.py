"""``model.ckpt``: the weights that deploy uses, with all that is needed to build the network they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from weft.engine.checkpoint_file import DamagedFile, read_checked, write_checked
from weft.errors import WeftError

FORMAT = 1
MEASURED = "measured"
"""of the record of a model: what :meth:`weft.engine.task.Task.measure` said of its training events"""


class ModelFile(NamedTuple):
    """Contents of a ``model.ckpt``."""

    state: dict[str, torch.Tensor]
    task: str
    options: dict[str, Any]
    provenance: dict[str, Any]


def save_model(path: Path, model: ModelFile) -> None:
    """Write atomically, with a checksum."""
    write_checked(path, {"format": FORMAT, **model._asdict()})


def read_model(path: Path) -> ModelFile:
    """Read a model file; only tensors and plain data are ever unpickled. Its checksum is compared where it has one."""
    try:
        content = read_checked(path, require_sum=False)
    except FileNotFoundError:
        raise WeftError(f"{path}: no such file; train the stage first") from None
    except DamagedFile as error:
        raise WeftError(f"{path}: not a model file of weft: {error.reason}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise WeftError(f"{path}: expected a model file of format {FORMAT}, found {found}")
    del content["format"]
    return ModelFile(**content)


def load_weights(network: torch.nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Load all weights; every missing, unexpected or misshapen parameter is named."""
    require_same(network.state_dict(), state, source)
    network.load_state_dict(dict(state))


def require_same(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], source: str) -> None:
    """Raise unless ``state`` has the tensors of the network, ``own``, and no others; each that differs is named."""
    problems = [f"{name} is missing" for name in own.keys() - state.keys()]
    problems += [f"{name} is not in the network" for name in state.keys() - own.keys()]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, the network {tuple(own[name].shape)}"
        for name in own.keys() & state.keys()
        if state[name].shape != own[name].shape
    ]
    if problems:
        raise WeftError(f"{source} does not fit the network: {'; '.join(sorted(problems))}")
