"""Where a result came from: code, packages, machine, config, seeds and inputs."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import weft
from weft.io.atomic import atomic_path

_PACKAGES = (
    "numpy", "h5py", "hdf5plugin", "awkward", "uproot", "numba", "scipy", "pandas", "pyarrow", "pydantic",
    "scikit-learn", "torch", "lightning", "torch-geometric", "torchmetrics", "MinkowskiEngine", "triton",
    "monai", "snakemake",
)  # fmt: skip

CHOSEN = "chosen"
"""of the record of a baseline: what its fit has chosen among several ways, in words"""


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces; paths as strings, sets and tuples as lists."""

    def plain(item: Any) -> Any:
        if isinstance(item, Path):
            return str(item)
        if isinstance(item, set | frozenset):
            return sorted(item)
        if hasattr(item, "model_dump"):
            return item.model_dump(mode="json")
        if hasattr(item, "item"):
            return item.item()
        raise TypeError(f"{type(item).__name__} cannot be written as JSON")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain, ensure_ascii=False)


def config_hash(config: Any) -> str:
    """sha256 of the canonical JSON of a resolved config."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_file(path: Path) -> dict[str, str]:
    """Which file it was, and what was in it then: a path alone says nothing once the file is made anew."""
    return {"path": str(path), "sha256": file_hash(path)}


def collect(
    config: Any = None,
    seeds: Mapping[str, int] | int | None = None,
    inputs: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The provenance record of what this process is making, ready for JSON.

    Args:
        config: the resolved config that the result depends on.
        seeds: one seed, or several by name.
        inputs: content hash of each input, by name.
        more: further keys, kept as they are.
    """
    record: dict[str, Any] = {
        "weft": weft.__version__,
        **_code(),
        "packages": _packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device": _device(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else [],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_time_s": round(_seconds_since_start(), 3),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "inputs": dict(inputs or {}),
    }
    if config is not None:
        record["config"] = json.loads(canonical_json(config))
        record["config_hash"] = config_hash(config)
    if seeds is not None:
        record["seeds"] = dict(seeds) if isinstance(seeds, Mapping) else {"seed": seeds}
    record.update(more)
    return record


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """``model.json``: a record of :func:`collect`, with what else is known of the file beside it, as text."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n")


@cache
def _code() -> dict[str, Any]:
    """Commit and state of the checkout that weft runs from; empty for an installed copy."""
    root = Path(weft.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", "weft"))}
    except (OSError, subprocess.SubprocessError):
        return {}


@cache
def _packages() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> str:
    """Its name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _device() -> str:
    """The processor, and the GPU where torch is loaded already and sees one."""
    device = f"{processor()} ({os.cpu_count()} cores)"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        device += f", {torch.cuda.get_device_name()}"
    return device


_started = time.monotonic()


def _seconds_since_start() -> float:
    """Age of this process (of this module's import where /proc is missing)."""
    stat, uptime = Path("/proc/self/stat"), Path("/proc/uptime")
    if stat.exists() and uptime.exists():
        ticks = int(stat.read_text().rpartition(")")[2].split()[19])
        return float(uptime.read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - _started


def peak_memory_mb() -> float:
    """Most memory that this process has had so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
