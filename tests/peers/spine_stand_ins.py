"""What SPINE imports and is not installed, so that it can be asked and run."""

import importlib.util
import sys
import types
import warnings

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch_geometric.utils import scatter, softmax

from weft.errors import WeftError
from weft.sparse.minkowski import load_minkowski


def load_spine() -> None:
    """Make SPINE's models importable. Raises WeftError where SPINE or MinkowskiEngine is not installed."""
    warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
    load_minkowski()
    if importlib.util.find_spec("spine") is None:
        raise WeftError("SPINE is not installed: pip install spine")
    sums = dict.fromkeys(("scatter", "scatter_add"), scatter)
    _stand_in("torch_scatter", scatter_softmax=softmax, scatter_mean=_mean, scatter_std=_std, **sums)
    _stand_in("torch_cluster", knn_graph=None, radius_graph=_radius_graph, knn=None, radius=None)
    _stand_in("numexpr", evaluate=None)


def _mean(values: torch.Tensor, index: torch.Tensor, dim: int = 0, **more: object) -> torch.Tensor:
    return scatter(values, index, dim, reduce="mean", **more)


def _std(values: torch.Tensor, index: torch.Tensor, dim: int = 0, **more: object) -> torch.Tensor:
    """Of the population, as SPINE's own code without torch has it."""
    return _mean((values - _mean(values, index, dim, **more)[index]) ** 2, index, dim, **more).sqrt()


def _radius_graph(coords: torch.Tensor, r: float, **_: object) -> torch.Tensor:
    pairs = cKDTree(coords.numpy()).query_pairs(r, output_type="ndarray").astype(np.int64)
    return torch.from_numpy(np.concatenate([pairs, pairs[:, ::-1]]).T.copy())


def _stand_in(name: str, **members: object) -> None:
    """A module by that name, with members that it does not have."""
    try:
        module = __import__(name)
    except ImportError:
        module = sys.modules[name] = types.ModuleType(name)
    for member, value in members.items():
        if not hasattr(module, member):
            setattr(module, member, value)
