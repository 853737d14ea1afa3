"""Environments: the files of `--use-conda`, pyproject.toml and what the code imports say the same."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
KINDS = ("data", "train", "evaluate", "report")
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "torch-geometric": "pytorch_geometric"}
# Imported directly, and always there with the package that is declared.
COMPANIONS = {
    "joblib": "scikit-learn",
    "threadpoolctl": "scikit-learn",
    "llvmlite": "numba",
    "markupsafe": "jinja2",
    "cycler": "matplotlib",
    "click": "typer",
    "pydantic_core": "pydantic",
}

INDIRECT = {"tensorboard": "torch.utils.tensorboard"}
OPTIONAL = {"MinkowskiEngine", "MinkowskiEngineBackend", "spine", "triton"}


def declared(kind: str) -> dict[str, Requirement]:
    """What a rule of a kind needs: the project's own dependencies and one extra."""
    requirements = map(Requirement, PROJECT["dependencies"] + EXTRAS[kind])
    return {requirement.name: requirement for requirement in requirements}


def environment(kind: str) -> dict[str, str]:
    document = yaml.safe_load((ROOT / f"envs/{kind}.yaml").read_text())
    assert document["channels"] == ["conda-forge", "nodefaults"]
    pins = [re.fullmatch(r"([\w.-]+) =(\d+\.\d+)", line) for line in document["dependencies"]]
    assert all(pins), "each package is pinned to a minor version"
    return {pin[1]: pin[2] for pin in pins if pin}


@pytest.mark.parametrize("kind", KINDS)
def test_environment_agrees_with_pyproject(kind):
    pins = environment(kind)
    python = Requirement(f"python{PROJECT['requires-python']}")
    assert python.specifier.contains(pins.pop("python"))
    wanted = {CONDA_NAMES.get(name, name): requirement for name, requirement in declared(kind).items()}
    assert pins.keys() == wanted.keys()
    for name, requirement in wanted.items():
        # A pin stands for all its patch releases: one of them must do.
        assert any(requirement.specifier.contains(f"{pins[name]}.{patch}") for patch in range(100)), name


@pytest.mark.parametrize("kind", ["workflow", "test", "docs"])
def test_extras_parse(kind):
    assert all(Requirement(line).specifier or line in {"types-PyYAML", "pandas-stubs", "furo"} for line in EXTRAS[kind])


def rules() -> dict[str, tuple[str, Path]]:
    """Kind of environment and script of every rule."""
    text = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    found = {}
    for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]:
        conda = re.search(r'conda:\s+"\.\./\.\./envs/(\w+)\.yaml"', rule)
        script = re.search(r'script:\s+"\.\./\.\./(scripts/\w+\.py)"', rule)
        assert conda, rule
        assert script, rule
        found[rule.partition(":")[0]] = (conda[1], ROOT / script[1])
    return found


def test_every_rule_has_an_environment_and_a_script_of_its_name():
    found = rules()
    assert {script.stem: script for _, script in found.values()} == {
        name: script for name, (_, script) in found.items()
    }
    assert all(script.is_file() and (ROOT / f"envs/{kind}.yaml").is_file() for kind, script in found.values())
    assert {script for _, script in found.values()} == set((ROOT / "scripts").glob("*.py"))


def imports(path: Path) -> list[str]:
    """The import statements of a file, wherever they stand."""
    tree = ast.parse(path.read_text())
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def dists(requirement_names: set[str]) -> set[str]:
    """Top-level modules of declared packages."""
    wanted = {name.lower().replace("_", "-") for name in requirement_names}
    return {
        module
        for module, owners in packages_distributions().items()
        if wanted & {owner.lower().replace("_", "-") for owner in owners}
    }


HIDE = """
import builtins

def guarded(name, globals=None, *rest, plain=builtins.__import__, **more):
    importer = (globals or {{}}).get("__name__", "")
    if importer.partition(".")[0] == "weft" and name.partition(".")[0] in {hidden}:
        raise ImportError(f"{{importer}} imports {{name}}, which this environment does not have")
    return plain(name, globals, *rest, **more)

builtins.__import__ = guarded
"""


@pytest.mark.parametrize("rule", sorted(rules()))
def test_a_script_imports_only_what_its_environment_has(rule):
    """Declared packages of other kinds are hidden, and the script's imports and all tasks still load."""
    kind, script = rules()[rule]
    everything = set().union(*(declared(other) for other in KINDS))
    hidden = dists(everything - declared(kind).keys()) - dists(set(declared(kind)))
    code = "\n".join(
        [
            HIDE.format(hidden=sorted(hidden)),
            *imports(script),
            "from weft import tasks",
            "for name in tasks.names(): tasks.load(name)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_rules_that_tabulate_or_draw_have_no_torch():
    assert not {"torch", "lightning"} & (declared("evaluate").keys() | declared("report").keys())


def test_weft_imports_what_it_declares_and_declares_what_it_imports():
    statements = [line for path in sorted((ROOT / "weft").rglob("*.py")) for line in imports(path)]
    modules = {re.match(r"(?:from|import) (\w+)", line)[1] for line in statements if not line.startswith("from .")}  # type: ignore[index]
    third_party = modules - OPTIONAL - {"weft"} - set(sys.stdlib_module_names)
    owners = {owner.lower() for module in third_party for owner in packages_distributions().get(module, [module])}
    names = {COMPANIONS.get(owner, owner) for owner in owners}
    everything = {name.lower() for kind in KINDS for name in declared(kind)}
    indirect = {name for name, module in INDIRECT.items() if any(module in line for line in statements)}
    assert names | indirect == everything


def post_deploy(**variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "envs/train.post-deploy.sh"]
    settings = {key: value for key, value in os.environ.items() if key != "WEFT_MINKOWSKI"} | variables
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60)


def test_the_train_environment_is_plain_by_default():
    done = post_deploy(PYTHON="/nonexistent/python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_train_environment_gets_minkowski_when_asked():
    """A Python without torch is refused by the build's own first check, so the build was reached."""
    done = post_deploy(WEFT_MINKOWSKI="1", PYTHON="false")
    assert done.returncode == 1
    assert "install torch first" in done.stderr
