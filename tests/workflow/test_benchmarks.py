"""Benchmarks are run by hand, long after the library has changed: what they take from it has to be there."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_what_a_benchmark_imports_exists(script: Path) -> None:
    taken = [
        (node.module or "", name.name)
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "weft"
        for name in node.names
    ]
    assert taken
    for module, name in taken:
        if not hasattr(import_module(module), name):
            import_module(f"{module}.{name}")  # a module of a package
