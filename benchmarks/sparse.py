"""Sparse engines side by side: `python benchmarks/sparse.py [THREADS]` writes results/sparse.md (default: 1 thread)."""

import sys
from pathlib import Path

import torch

from weft.sparse.benchmark import main

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    (Path(__file__).parent / "results" / "sparse.md").write_text(f"# Sparse engines\n\n{main()}\n")
