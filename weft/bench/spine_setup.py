"""SPINE 1.4.3 made importable, its networks at the sizes of ours, and our weights in them."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import types
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba
import torch
from torch import Tensor, nn

from weft.engine.task import Task
from weft.errors import WeftError
from weft.sparse.minkowski import load_minkowski

STAND_INS = "torch_scatter by torch-geometric's scatter, the radius graph of torch_cluster by scipy's tree"
"""what SPINE imports and has no wheel for this torch"""


def load_spine() -> str:
    """Make SPINE's models importable; returns its version.

    Raises WeftError where SPINE or MinkowskiEngine is not installed.
    """
    warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
    warnings.filterwarnings("ignore", message="unsafe cast from uint64")
    load_minkowski()
    try:
        found = version("spine")
    except PackageNotFoundError:
        raise WeftError("SPINE is not installed: pip install spine") from None
    from torch_geometric.utils import scatter, softmax

    def mean(values: Tensor, index: Tensor, dim: int = 0, **more: Any) -> Tensor:
        return scatter(values, index, dim, reduce="mean", **more)

    def std(values: Tensor, index: Tensor, dim: int = 0, **more: Any) -> Tensor:
        """Population standard deviation, as SPINE's own numpy code has it."""
        offset = values - mean(values, index, dim, **more)[index]
        return mean(offset**2, index, dim, **more).sqrt()

    _stand_in(
        "torch_scatter", scatter=scatter, scatter_softmax=softmax, scatter_add=scatter, scatter_mean=mean,
        scatter_std=std,
    )  # fmt: skip
    _stand_in("numexpr")  # for flash matching alone
    _stand_in("torch_cluster", knn_graph=None, radius_graph=_radius_graph, knn=None, radius=None)
    return found


@cache
def spine_grouping() -> Any:
    """SPINE's module for groups and labels of nodes, by its file: its package cannot be had without MinkowskiEngine.

    What numba compiles of it is kept for this process alone, since under this name it would not do for the package.
    Raises WeftError where SPINE is not installed.
    """
    package = importlib.util.find_spec("spine")
    if package is None or package.submodule_search_locations is None:
        raise WeftError("SPINE is not installed: pip install spine")
    path = Path(package.submodule_search_locations[0]) / "model/grappa/evaluation.py"
    found = importlib.util.spec_from_file_location("spine_grappa_evaluation", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    module.weft_cache = tempfile.TemporaryDirectory()  # type: ignore[attr-defined]  # removed with the module
    settings: Any = numba.config
    before, settings.CACHE_DIR = settings.CACHE_DIR, module.weft_cache.name
    try:
        found.loader.exec_module(module)
    finally:
        settings.CACHE_DIR = before
    return module


def _radius_graph(coords: Tensor, r: float, **_: object) -> Tensor:
    import numpy as np
    from scipy.spatial import cKDTree

    pairs = cKDTree(coords.numpy()).query_pairs(r, output_type="ndarray").astype(np.int64)
    return torch.from_numpy(np.concatenate([pairs, pairs[:, ::-1]]).T.copy())


def _stand_in(name: str, **members: object) -> None:
    """A module that SPINE imports, unless it is installed."""
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = types.ModuleType(name)
    module = sys.modules[name]
    if getattr(module, "__spec__", None) is None:  # one of ours, or of whoever needed less of it before
        for member, value in members.items():
            setattr(module, member, value)


def give_weights(
    task: Task[Any], network: nn.Module, theirs: nn.Module, more: Mapping[str, Tensor] | None = None
) -> None:
    """Load our weights into SPINE's network of the same layout, every tensor of it.

    more: further tensors, by its names.
    """
    layout = task.foreign_layout()
    if layout is None:
        raise WeftError(f"task '{task.name}': SPINE has no such network")
    ours = network.state_dict()
    wanted = theirs.state_dict()
    given = {name: ours[own].reshape(wanted[name].shape) for own, name in layout.names.items() if name in wanted}
    given |= dict(more or {})
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [name for name in layout.names.values() if name not in wanted]
    if missing or unknown:
        raise WeftError(f"task '{task.name}': SPINE's network differs: {', '.join([*missing, *unknown])}")
    theirs.load_state_dict(given, strict=False)


def unet_config(model: Any, inputs: int) -> dict[str, Any]:
    """The trunk of a network of ours, as ``modules.uresnet``; SPINE's segmentation adds the number of classes."""
    return {
        "num_input": inputs,
        "filters": model.filters,
        "depth": model.depth,
        "reps": model.reps,
        "input_kernel": model.input_kernel,
        "allow_bias": False,
        "activation": {"name": "lrelu", "negative_slope": model.leak},
        "norm_layer": {"name": "batch_norm", "eps": model.norm_eps, "momentum": model.norm_momentum},
    }


def graph_spice_config(model: Any, names: list[str]) -> dict[str, Any]:
    """``modules.graph_spice`` of a stage of ours with raw features and the bilinear kernel."""
    if model.features != "raw" or model.kernel != "bilinear" or model.graph.kind != "radius":
        raise WeftError("the benchmark compares Graph-SPICE with raw features, a bilinear kernel and a radius graph")
    clustering = model.clustering
    orphan = {
        "mode": "radius",
        "radius": clustering.orphan_radius,
        "iterate": True,
        "assign_all": clustering.assign_all,
    }
    return {
        "embedder": {"uresnet": unet_config(model, 4) | {"spatial_size": model.spatial_size}},
        "kernel": {"provider": "bilinear", "num_features": model.filters, "bias": model.kernel_bias},
        "constructor": {
            "graph": {"provider": "radius", "r": model.graph.radius},
            "edge_threshold": clustering.edge_threshold,
            "min_size": clustering.min_size,
            "orphan": orphan,
        },
        "shapes": names,
        "use_raw_features": True,
        "invert": model.invert,
        "make_clusters": True,
    }


def grappa_config(model: Any) -> dict[str, Any]:
    """``modules.grappa_*`` of a stage of ours with the meta network on a complete graph."""
    if model.network != "meta" or model.graph.kind != "complete" or model.encoder != "geometric":
        raise WeftError("the benchmark compares GrapPA's meta network with geometric features on complete graphs")
    if model.features not in (32, 33):
        raise WeftError(f"the benchmark compares GrapPA with 32 or 33 node features, not {model.features}")
    perceptron = {
        "depth": model.depth,
        "width": model.width,
        "activation": {"name": "lrelu", "negative_slope": model.leak},
        "normalization": "batch_norm",
    }
    heads: dict[str, Any] = {"edge_pred": 2}
    sizes = {"pid": ("type", 5), "primary": ("primary", 2), "orientation": ("orient", 2)}
    asked = [head for head in model.heads if head != "edge"]
    if asked:
        named = {sizes[head][0]: sizes[head][1] for head in asked}
        heads["node_pred"] = named if model.instance == "interaction" else 2
    length = model.graph.max_length
    return {
        "nodes": {"shapes": model.classes, "min_size": model.min_size, "make_groups": True},
        "graph": {
            "name": "complete",
            "max_length": list(length) if isinstance(length, list) else length,
            "dist_algorithm": "brute" if model.graph.algorithm == "exact" else "iterative",
        },
        "node_encoder": {
            "name": "geo",
            "add_value": True,
            "add_shape": model.features == 33,
            "add_points": True,
            "random_order": False,
            "add_local_dirs": True,
            "dir_max_dist": model.radius,
            "add_local_dedxs": True,
            "dedx_max_dist": model.radius,
        },
        "edge_encoder": {"name": "geo"},
        "gnn_model": {
            "name": "meta",
            "node_feats": model.features,
            "edge_feats": 19,
            "node_layer": {
                "name": "mlp",
                "reduction": model.reduction,
                "message_mlp": perceptron,
                "aggr_mlp": perceptron,
                "attention": model.attention,
            },
            "edge_layer": {"name": "mlp", "mlp": perceptron},
            "num_mp": model.rounds,
            **heads,
        },
    }
