"""Optimisers of ``torch.optim``, and which parameters they treat how.

Biases, norms, embeddings and tokens do not decay (mesh specification §9; Loshchilov & Hutter 2019 decay weights, not
what shifts and scales them); with layer-wise decay the layers nearer to the input learn slower (Clark et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from weft.config.loading import closest
from weft.config.training import Optimizer
from weft.engine.task import Task
from weft.errors import WeftError

NORMS_AND_EMBEDDINGS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.Embedding, nn.EmbeddingBag)
"""Modules whose parameters never decay. What else has more than one dimension and must not, such as a token [1, C], its
module names in an attribute ``no_decay = ("token",)``."""

_REFUSED = {
    "LBFGS": "it evaluates a batch several times a step, and its line search wants the loss of all events",
    "SparseAdam": "it takes sparse gradients, and those of our networks are dense",
}


def build_optimizer(
    task: Task[Any], network: nn.Module, settings: Optimizer, fused: bool = True
) -> torch.optim.Optimizer:
    """The optimiser of a stage over all parameters of ``network`` that are not frozen.

    fused: take the one-pass form where the class has it; a gradient scaler (fp16) cannot be used with it.
    Raises WeftError for an unknown class, options that it does not take, and parameters that it cannot optimise.
    """
    kind = _kind(settings.name)
    takes = signature(kind).parameters
    common: dict[str, Any] = {"lr": settings.lr}
    if "weight_decay" in takes:
        common["weight_decay"] = settings.weight_decay
    elif settings.weight_decay:
        raise WeftError(f"optimizer.weight_decay: {settings.name} has none; set it to 0 or choose another optimiser")
    if not fused and settings.options.get("fused"):
        raise WeftError(
            "optimizer.options: fused cannot be used with training.precision 16-mixed, whose gradients are unscaled "
            "before they are clipped; leave it out"
        )
    if fused and "fused" in takes and not settings.options.keys() & {"fused", "foreach", "differentiable"}:
        common["fused"] = True  # one pass over all weights, a third of the time
    groups = parameter_groups(task, network, settings)
    try:
        optimizer: torch.optim.Optimizer = kind(groups, **common, **settings.options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WeftError(f"optimizer.options: {settings.name}: {' '.join(str(error).split())}") from None
    optimizer.register_load_state_dict_post_hook(_laid_out_as_weights)
    return optimizer


def _laid_out_as_weights(optimizer: torch.optim.Optimizer) -> None:
    """Moments in the memory order of their weights: the one-pass forms take both for alike without looking, and a
    checkpoint may be of a version whose weights lay otherwise."""
    for parameter, state in optimizer.state.items():
        for name, moment in state.items():
            if isinstance(moment, torch.Tensor) and moment.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=moment.dtype).copy_(moment)


def _kind(name: str) -> Any:
    kinds = {
        name: kind
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
    }
    if name in _REFUSED:
        raise WeftError(f"optimizer.name: {name} cannot be used here: {_REFUSED[name]}")
    if name not in kinds:
        known = sorted(kinds.keys() - _REFUSED.keys())
        raise WeftError(
            f"optimizer.name: torch.optim has no optimiser '{name}'{closest(name, known)}; it has: {', '.join(known)}"
        )
    return kinds[name]


def parameter_groups(task: Task[Any], network: nn.Module, settings: Optimizer) -> list[dict[str, Any]]:
    """Parameters that are not frozen, by learning rate and weight decay, in the order of the network."""
    rates = _layer_rates(task, network, settings)
    for module, factor in task.lr_multipliers(network):
        rates |= {id(parameter): factor * rates[id(parameter)] for parameter in module.parameters()}
    decaying = {id(parameter) for parameter in _decaying(network)}
    # Which groups there are does not depend on the weight decay, so that a resumed training may have another one.
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            decays = settings.decay_all or id(parameter) in decaying
            groups.setdefault((rates[id(parameter)], decays), []).append(parameter)
    if not groups:
        raise WeftError("every parameter of the network is frozen: there is nothing to train")
    return [
        {"params": members, "lr": lr, "weight_decay": settings.weight_decay if decays else 0.0}
        for (lr, decays), members in groups.items()
    ]


def _decaying(network: nn.Module) -> Iterator[nn.Parameter]:
    for module in network.modules():
        spared = getattr(module, "no_decay", ())
        if not isinstance(module, NORMS_AND_EMBEDDINGS):
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim > 1 and name not in spared:
                    yield parameter


def _layer_rates(task: Task[Any], network: nn.Module, settings: Optimizer) -> dict[int, float]:
    """Peak learning rate of each parameter, by its id.

    With a decay of d: layer i of L at lr / d^(L-1-i), the head, which is the last that the task names, at its own
    multiple of lr, and what the task does not name at lr / d^L (mesh specification §9).
    """
    decay = settings.layer_decay
    if decay is None:
        return {id(parameter): settings.lr for parameter in network.parameters()}
    *layers, head = task.layers(network)
    lrs = [settings.lr / decay ** (len(layers) - 1 - i) for i in range(len(layers))]
    lrs.append(settings.lr * settings.head_multiplier)
    rates: dict[int, float] = {}
    for modules, lr in zip([*layers, head], lrs, strict=True):
        for module in modules:
            for name, parameter in module.named_parameters():
                if id(parameter) in rates:
                    raise WeftError(f"task '{task.name}': two layers of layers() have the same parameter '{name}'")
                rates[id(parameter)] = lr
    lowest = settings.lr / decay ** len(layers)
    return {id(parameter): rates.get(id(parameter), lowest) for parameter in network.parameters()}
