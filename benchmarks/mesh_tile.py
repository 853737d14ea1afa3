"""One tile of the reference scale from its simulation to its prediction: time and memory of one core.

    OMP_NUM_THREADS=1 python benchmarks/mesh_tile.py            # about ten minutes; prints the table
    OMP_NUM_THREADS=1 python benchmarks/mesh_tile.py --write    # and writes benchmarks/results/mesh_tile.md

The tile, the features, the clusters and the networks are those of `config/` at the scale `reference`; the networks have
fresh weights, and features that are not standardised, which take as long as others. Each step is a process of its own:
processor time of one thread, and the most memory that the process had, Python and its libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weft import tasks
from weft.config import load_dataset, load_experiment
from weft.config.dataset import SimulatedDataset
from weft.io.convert import convert_file
from weft.io.provenance import collect
from weft.io.store import EventStore
from weft.meshes.features import face_features
from weft.reco.feed import FedEvent, FedStore
from weft.simulation.towns.produce import simulate_towns
from weft.simulation.towns.settings import TownSettings
from weft.tasks.mesh_segmentation.clustered import Clustered
from weft.tasks.mesh_segmentation.tile import read_tile

RESULT = Path(__file__).resolve().parent / "results" / "mesh_tile.md"
SPLIT = "test"


class Row(NamedTuple):
    """Of the table."""

    seconds: float
    gb: float
    said: str


def simulate(folder: Path) -> str:
    dataset = load_dataset("towns", "reference")
    assert isinstance(dataset, SimulatedDataset)
    split = dataset.split(SPLIT)
    assert split.seed is not None
    tile = simulate_towns(TownSettings.parse(split.simulation), split.seed, 0, 1, folder / "tile")
    size = sum(path.stat().st_size for path in tile.iterdir())
    return f"{size / 1e6:.0f} MB of PLY and JPEG"


def convert(folder: Path) -> str:
    convert_file(folder / "tile", folder / "tile.h5")
    with EventStore.open(folder / "tile.h5") as made:
        pixels = made["face_pixels"][0]
        return f"{len(made['faces'][0]):,} faces, {len(pixels.values) / 1e6:.1f} million pixels kept"


def cluster(folder: Path) -> str:
    options = task_of("textured").options.data
    with EventStore.open({"truth": folder / "tile.h5"}) as store:
        tile = read_tile(FedEvent(FedStore(store), 0), surface=True, texture="none", classes=options.classes)
    mesh = Clustered.of(tile, options.clusters)
    made = face_features(tile.vertices, tile.faces, tile.surface, options.features, clusters=mesh.clusters)
    return f"{len(mesh.centres):,} clusters of at most {options.clusters.faces} faces, {made.shape[1]} features"


def deploy(stage: str) -> Callable[[Path], str]:
    def run(folder: Path) -> str:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        task = task_of(stage)
        network = task.network().eval()
        with EventStore.open({"truth": folder / "tile.h5"}) as store:
            event = FedEvent(FedStore(store), 0)
            batch = task.collate([task.sample(event, (0, 0), labels=False)])
            probabilities = task.predict(network, batch)[0]["face_probabilities"]
        assert np.isfinite(probabilities).all()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return f"{parameters / 1e6:.1f} million parameters, {len(probabilities):,} faces predicted"

    return run


STEPS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "simulate": ("simulate the tile", simulate),
    "convert": ("convert it: heights, roughness, pixels under faces", convert),
    "cluster": ("read it, clusters and features of all faces", cluster),
    "geometry": ("predict it with `geometry`", deploy("geometry")),
    "textured": ("predict it with `textured`", deploy("textured")),
}


def task_of(stage: str) -> Any:
    return tasks.of(tasks.resolve(load_experiment("meshes", "reference")).stages[stage])


def child(step: str, folder: Path) -> None:
    start = time.process_time()
    said = STEPS[step][1](folder)
    taken = time.process_time() - start
    print(json.dumps([taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, said]))


def measure(folder: Path) -> list[tuple[str, Row]]:
    rows = []
    for step, (what, _) in STEPS.items():
        call = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
        run = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
        rows.append((what, Row(*json.loads(run.stdout.splitlines()[-1]))))
        print(what, rows[-1][1], file=sys.stderr, flush=True)
    return rows


def table(rows: list[tuple[str, Row]]) -> str:
    lines = ["| what | processor time, s | peak memory, GB | |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {row.seconds:.0f} | {row.gb:.1f} | {row.said} |" for what, row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    parser.add_argument("--folder", type=Path, help="where the tile and its store go; default: a temporary one")
    parser.add_argument("--step", choices=STEPS, help="this step alone, in --folder")
    options = parser.parse_args()
    if options.step:
        child(options.step, options.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        text = table(measure(options.folder or Path(temporary)))
    print(text)
    if options.write:
        machine = collect()
        head = [
            "# One tile of the reference scale",
            "",
            f"`OMP_NUM_THREADS=1 python benchmarks/mesh_tile.py --write`, {machine['created'][:10]}, "
            f"{machine['device']}, commit `{machine['commit'][:10]}`{', with changes' if machine['dirty'] else ''}: "
            "processor time of one thread, the most memory of each step's process.",
            "",
        ]
        RESULT.write_text("\n".join([*head, text, ""]))


if __name__ == "__main__":
    main()
