"""Sparse engines side by side: `python benchmarks/sparse.py` writes results/sparse.md, on one thread.

`OMP_WAIT_POLICY=PASSIVE python benchmarks/sparse.py 2` writes results/sparse_threads_2.md; the cores must be idle.
"""

import sys
from pathlib import Path

import torch

from weft.sparse.benchmark import main

if __name__ == "__main__":
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    torch.set_num_threads(threads)
    name = "sparse.md" if threads == 1 else f"sparse_threads_{threads}.md"
    (Path(__file__).parent / "results" / name).write_text(f"# Sparse engines\n\n{main()}\n")
