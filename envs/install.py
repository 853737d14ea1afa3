"""Install Weft into the environment this runs in: `python envs/install.py {auto,cpu,cuda} EXTRA...`.

torch comes in builds of very different size. This says which one will be installed, and from where, before anything is
downloaded. It needs nothing but the standard library and pip.
"""

import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_SIZE = "about 0.2 GB"
CUDA_SIZE = "0.5 GB, and NVIDIA's libraries with it, 2 GB or more"


def pip(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, cwd=ROOT, **options)


def torch_requirement() -> str:
    """The version that pyproject.toml asks for, as pip reads it."""
    return re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text()).group(1)


def installed(requirement: str) -> bool:
    """Whether the environment has that version already, of whatever build."""
    try:
        return metadata.version("torch").partition("+")[0] == requirement.partition("==")[2]
    except metadata.PackageNotFoundError:
        return False


def local_wheel(requirement: str) -> bool:
    """Whether pip's own configuration (find-links) leads to a wheel on this machine."""
    arguments = ("--dry-run", "--no-deps", "--no-index", "--ignore-installed", "--quiet", requirement)
    return pip("install", *arguments, capture_output=True).returncode == 0


def torch_source(choice: str, requirement: str) -> tuple[str, list[str]]:
    """What to say, and pip's arguments, for the build of torch that was chosen."""
    if choice == "auto":
        if installed(requirement):
            return f"{requirement} is installed", []
        if local_wheel(requirement):
            return f"{requirement} comes from a wheel on this machine; nothing is downloaded for it", []
        if platform.system() == "Darwin":
            return f"{requirement} for macOS will be downloaded from PyPI ({CPU_SIZE})", []
        choice = "cuda" if shutil.which("nvidia-smi") else "cpu"
        seen = "an NVIDIA driver" if choice == "cuda" else "no NVIDIA driver"
        other = "cpu" if choice == "cuda" else "cuda"
        why = f"this machine has {seen}; choose the other build with TORCH={other}"
    else:
        why = f"as asked by TORCH={choice}"
    if choice == "cpu":
        source, size, index = CPU_INDEX, CPU_SIZE, ["--index-url", CPU_INDEX]
    else:
        source, size, index = "PyPI", CUDA_SIZE, []
    return f"the {choice.upper()} build of {requirement} will be downloaded from {source} ({size}): {why}", index


def main(choice: str, extras: list[str]) -> int:
    if choice not in {"auto", "cpu", "cuda"}:
        print(f"TORCH={choice}: expected auto, cpu or cuda", file=sys.stderr)
        return 2
    requirement = torch_requirement()
    message, index = torch_source(choice, requirement)
    print(f"torch: {message}", flush=True)
    replace = ["--force-reinstall", "--no-deps"] if choice != "auto" and installed(requirement) else []
    done = pip("install", "-qq", *index, *replace, requirement)
    if done.returncode == 0:
        print(f"weft: installing with [{','.join(extras)}] from pip's package index (about 0.4 GB)", flush=True)
        done = pip("install", "-qq", "--editable", f".[{','.join(extras)}]")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
