"""The weights in a file, whichever file of weights it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weft.engine.checkpoint_file import read_checked
from weft.errors import WeftError

_NETWORK = "network."
"""where a training holds its network"""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a ``model.ckpt``, a checkpoint of a work folder (those that deploy would use), a checkpoint of
    another tool with a ``state_dict``, or a plain state dict. Only tensors and plain data are ever unpickled.
    """
    try:
        content = read_checked(path, require_sum=False)
    except FileNotFoundError:
        raise WeftError(f"{path}: no such file of weights") from None
    state = _find(content)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        keys = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise WeftError(f"{path}: holds no weights: expected a model.ckpt, a checkpoint or a state dict, found {keys}")
    return {str(name): value for name, value in state.items()}


def _find(content: Any) -> Mapping[str, Any] | None:
    """The state dict in what a file holds."""
    if not isinstance(content, Mapping):
        return None
    if "pytorch-lightning_version" in content:  # a training of ours
        state = content["state_dict"]
        averages = content.get("callbacks", {}).get("Averaging", {}).get("averages", {})
        return {name.removeprefix(_NETWORK): state[name] for name in state if name.startswith(_NETWORK)} | averages
    for key in ("state", "state_dict"):  # of ours; of most others
        if isinstance(content.get(key), Mapping):
            return content[key]
    return content


def state_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 of names, types, shapes and bytes: of the weights, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
