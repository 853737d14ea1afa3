"""What SPINE imports and is not installed, so that its classes can be asked what they take and keep."""

import importlib.util
import sys
import types
import warnings

from torch_geometric.utils import scatter, softmax

from weft.errors import WeftError
from weft.sparse.minkowski import load_minkowski


def load_spine() -> None:
    """Make SPINE's models importable. Raises WeftError where SPINE or MinkowskiEngine is not installed."""
    warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
    load_minkowski()
    if importlib.util.find_spec("spine") is None:
        raise WeftError("SPINE is not installed: pip install spine")
    scatters = dict.fromkeys(("scatter", "scatter_add", "scatter_mean", "scatter_std"), scatter)
    _stand_in("torch_scatter", scatter_softmax=softmax, **scatters)
    _stand_in("torch_cluster", **dict.fromkeys(("knn_graph", "radius_graph", "knn", "radius"), scatter))
    _stand_in("numexpr", evaluate=None)


def _stand_in(name: str, **members: object) -> None:
    """A module by that name, with members that it does not have."""
    try:
        module = __import__(name)
    except ImportError:
        module = sys.modules[name] = types.ModuleType(name)
    for member, value in members.items():
        if not hasattr(module, member):
            setattr(module, member, value)
