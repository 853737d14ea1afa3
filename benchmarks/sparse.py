"""Sparse engines side by side: `python benchmarks/sparse.py [THREADS]` writes results/sparse-<threads>-threads.md."""

import datetime
import subprocess
import sys
import warnings
from pathlib import Path

import torch

from weft.sparse.benchmark import benchmark_sparse

if __name__ == "__main__":
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", module="MinkowskiEngine")
    table = benchmark_sparse().table()
    folder = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=folder, check=True
    ).stdout.strip()
    heading = f"# Sparse engines\n\n{datetime.date.today()}, commit {commit}, "
    (folder / "results" / f"sparse-{threads}-threads.md").write_text(heading + table + "\n")
    print(table)
