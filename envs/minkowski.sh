#!/usr/bin/env bash
# Builds MinkowskiEngine 0.5.4 from its source release into the active environment, against the torch there.
# `make minkowski` and the conda environment's post-deploy call it. Takes about 4 minutes on two cores.
set -euo pipefail
python="${PYTHON:-python}"

if "$python" -c 'from importlib.metadata import version; raise SystemExit(version("MinkowskiEngine") != "0.5.4")' 2>/dev/null; then
    echo "MinkowskiEngine 0.5.4 is already installed"
    exit 0
fi
"$python" -c 'import torch' 2>/dev/null || { echo "install torch first: MinkowskiEngine is built against it" >&2; exit 1; }

has_openblas() { echo '#include <cblas.h>' | "${CXX:-g++}" -E -x c++ ${CONDA_PREFIX:+-I"$CONDA_PREFIX/include"} - >/dev/null 2>&1; }
if ! command -v "${CXX:-g++}" >/dev/null || ! has_openblas; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q
        apt-get install -y -q --no-install-recommends g++ libopenblas-dev "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev"
    else
        echo "MinkowskiEngine needs a C++ compiler and OpenBLAS headers: apt-get install g++ libopenblas-dev python3-dev" >&2
        exit 1
    fi
fi

# The release predates pyproject.toml: its setup.py imports torch (hence no build isolation) and numpy's distutils,
# which reads compiler options in a way that only the standard library's distutils understands (Python <= 3.11).
"$python" -m pip install --quiet setuptools wheel ninja "numpy>=2.1,<3"
export SETUPTOOLS_USE_DISTUTILS=stdlib CXX="${CXX:-g++}" MAX_JOBS="${MAX_JOBS:-$(nproc)}"
"$python" -m pip install --no-build-isolation --no-deps --no-binary MinkowskiEngine MinkowskiEngine==0.5.4
"$python" -c 'from weft.sparse.minkowski import load_minkowski; print("MinkowskiEngine", load_minkowski().__version__)'
