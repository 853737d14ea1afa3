"""What is installed, what is not, and what each missing piece is for."""

from __future__ import annotations

import platform
from importlib import metadata, util
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

import weft


class Package(NamedTuple):
    distribution: str
    module: str
    purpose: str


PACKAGES = (
    Package("numpy", "numpy", "arrays"),
    Package("h5py", "h5py", "event stores"),
    Package("hdf5plugin", "hdf5plugin", "Blosc2 compression of event stores"),
    Package("pandas", "pandas", "score tables"),
    Package("pyarrow", "pyarrow", "score tables on disk"),
    Package("numba", "numba", "simulation"),
    Package("uproot", "uproot", "ROOT files"),
    Package("awkward", "awkward", "ROOT files"),
    Package("torch", "torch", "training and inference"),
    Package("lightning", "lightning", "training"),
    Package("tensorboard", "tensorboard", "training logs"),
    Package("scikit-learn", "sklearn", "baselines"),
    Package("matplotlib", "matplotlib", "figures of reports"),
    Package("jinja2", "jinja2", "reports"),
    Package("snakemake", "snakemake", "the workflow"),
    Package("snakemake-executor-plugin-slurm", "snakemake_executor_plugin_slurm", "the workflow on a cluster"),
    Package("MinkowskiEngine", "MinkowskiEngine", "the optional `minkowski` engine: make minkowski"),
)


def examine() -> None:
    """Print versions, devices and engines; what is missing is named with what it is for."""
    console = Console()
    console.print(f"weft {weft.__version__}, Python {platform.python_version()}, {platform.platform()}")
    table = Table("package", "version", "for")
    for package in PACKAGES:
        found = util.find_spec(package.module) is not None
        version = metadata.version(package.distribution) if found else "[yellow]missing[/]"
        table.add_row(package.distribution, version, package.purpose)
    console.print(table)
    if util.find_spec("torch") is None:
        console.print("devices: unknown without torch")
        return
    import torch

    from weft.sparse.convolve import ENGINES

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    console.print(f"devices: cpu with {torch.get_num_threads()} threads; GPUs: {', '.join(gpus) or 'none'}")
    console.print(f"sparse convolution engines: {', '.join(ENGINES)}")
