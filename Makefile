# `make demo`: from a fresh clone to a report.   `make help`: everything else.

PYTHON ?= python3
TORCH  ?= auto
CORES  ?= $(shell getconf _NPROCESSORS_ONLN)

VENV := .venv
BIN  := $(VENV)/bin
# Stamps named after the content of what decides the environment: it is made anew when that changes, else left alone.
KEY  := $(shell cat pyproject.toml envs/install.py | cksum | cut -d' ' -f1)-$(TORCH)
RUN  := $(VENV)/run-$(KEY)
DEV  := $(VENV)/dev-$(KEY)

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: help demo env test check docs test-slow test-peers test-browser test-all minkowski spine clean distclean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 22
	@echo "  with TORCH=auto|cpu|cuda (now $(TORCH)), CORES=$(CORES), PYTHON=$(PYTHON)"

demo: $(RUN)  ## install into .venv, run the default workflow, say where the report is
	$(BIN)/snakemake --no-hooks --cores $(CORES)
	@$(BIN)/snakemake --summary 2>/dev/null | awk '$$1 ~ /report\.html$$/ {print "Report: $(CURDIR)/" $$1}'

env: $(DEV)  ## install into .venv, with the tools for tests and documentation

# Runs of the workflow are the longest files: begun first, they are not waited for in the end.
test: check docs  ## style, types, documentation, then all fast tests with a tiny run of the whole workflow
	$(PYTEST) tests/workflow tests/unit tests/cluster -m "not slow and not peer and not browser" -n $(CORES) --dist loadfile

check: $(DEV)  ## ruff, mypy, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: $(DEV)  ## documentation in docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

test-slow: $(DEV)  ## tests that take more than half a minute each
	$(PYTEST) -m slow

test-peers: $(DEV)  ## comparisons with SPINE and MinkowskiEngine (`make spine minkowski` first; skipped where absent)
	$(PYTEST) -m peer

test-browser: $(DEV)  ## reports in a real browser (needs chromium)
	$(PYTEST) -m browser

test-all: test test-slow test-peers test-browser  ## all of these

minkowski: $(DEV)  ## build MinkowskiEngine into .venv (a compiler, OpenBLAS headers, about 5 minutes)
	PYTHON=$(BIN)/python envs/minkowski.sh

spine: $(DEV)  ## install SPINE into .venv, which tests compare with
	$(BIN)/pip install --quiet --no-deps spine==1.4.3

clean:  ## remove caches and built documentation; results and the environment stay
	rm -rf docs/_build build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the environment too; results stay
	rm -rf $(VENV) weft.egg-info

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Weft needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): | $(BIN)/python
	$(BIN)/python envs/install.py $(TORCH) data train evaluate report workflow
	@rm -f $(VENV)/run-* && touch $@

$(DEV): $(RUN)
	$(BIN)/python envs/install.py auto data train evaluate report workflow test docs
	@rm -f $(VENV)/dev-* && touch $@
