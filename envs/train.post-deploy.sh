#!/usr/bin/env bash
# Run by Snakemake once in a new `train` environment, from the project's folder: with WEFT_MINKOWSKI=1 in the
# environment of `snakemake --use-conda`, MinkowskiEngine is built there too.
set -euo pipefail
[ "${WEFT_MINKOWSKI:-0}" = 0 ] || bash envs/minkowski.sh
