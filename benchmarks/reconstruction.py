"""What the reconstruction measures on true clusters, against what the simulation knows, and how long it takes.

    snakemake --cores 1 -- results/data/lartpc-demo/test/0000.h5
    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/reconstruction.py results/data/lartpc-demo/test/0000.h5

All cases have the true voxels of every particle, so that what differs is what is made of them:

* truth: true starts and ends, and true answers where a network would be asked.
* ends: as truth, but starts and ends from the voxels alone (farthest ones, tracks turned by dE/dx).
* vertex: as ends, then tracks turned to the vertex and primary showers started at it, as full_chain has it.
* classical: as ends, and classical rules in place of the networks: the baseline of the task.

`--write` puts the table into benchmarks/results/reconstruction.md.
"""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weft.io.provenance import processor
from weft.io.store import EventStore
from weft.reco.ends import cluster_ends
from weft.reco.feed import FedStore
from weft.reco.positions import set_xyz, to_cm
from weft.reco.settings import Settings, needed
from weft.sparse.benchmark import commit
from weft.tasks.reconstruction.options import Options
from weft.tasks.reconstruction.task import Reconstruction

RESULT = Path(__file__).parent / "results" / "reconstruction.md"
_SHOWN = (
    "pid_accuracy", "pid_recall_photon", "pid_recall_electron", "pid_recall_muon", "pid_recall_pion",
    "pid_recall_proton", "primary_efficiency", "primary_purity", "interaction_efficiency", "interaction_purity",
    "topology_accuracy", "vertex_within_3cm", "vertex_median_cm", "vertex_68_cm", "shower_energy_bias",
    "shower_energy_resolution", "shower_angle_median_degrees", "shower_angle_68_degrees", "track_energy_bias",
    "track_energy_resolution", "csda_energy_bias", "csda_energy_resolution", "calo_energy_bias",
    "calo_energy_resolution", "mcs_energy_bias", "mcs_energy_resolution", "track_angle_median_degrees",
    "track_angle_68_degrees",
)  # fmt: skip
_ENDS = (("start_distance", 0, "showers"), ("start_distance", 1, "tracks"), ("end_distance", 1, "tracks"))


class Joined:
    """A store with predictions beside it, as the engine joins them."""

    def __init__(self, fed: FedStore, made: list[dict[str, Any]]) -> None:
        self.fed, self.made = fed, made

    @property
    def events(self) -> np.ndarray:
        return self.fed.events[: len(self)]

    def __len__(self) -> int:
        return len(self.made)

    def __contains__(self, name: object) -> bool:
        return str(name).partition("/")[2] in self.made[0] or name in self.fed

    def __getitem__(self, name: str) -> Any:
        alias, _, product = name.partition("/")
        return [event[product] for event in self.made] if alias == "prediction" else self.fed[name]


def with_own_ends(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with candidates that start and end where their voxels say."""
    candidates = event["candidates"].copy()
    ends = cluster_ends(event["voxels"], event["candidate_voxels"], candidates["shape"])
    for name, position in zip(("start", "end"), ends, strict=True):
        set_xyz(candidates, name, to_cm(position, event["meta"]))
    return {**event, "candidates": candidates}


def cases(events: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]], Callable[[Any], Any]]]:
    truth = Reconstruction(Options(model=Settings.model_validate({"sources": {"orientation": "none"}})))
    ours = Reconstruction(Options())
    steps = Settings.model_validate({"vertex": {"orient_tracks": True, "start_showers": True}})
    baseline = ours.baseline()
    apart = [with_own_ends(event) for event in events]
    yield "truth", events, truth.predict_event
    yield "ends", apart, ours.predict_event
    yield "vertex", apart, Reconstruction(Options(model=steps)).predict_event
    yield "classical", apart, baseline.predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="an event store with truth")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT}")
    arguments = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    with EventStore.open({"truth": arguments.store}) as store:
        fed = FedStore(store)
        number = min(arguments.events, len(fed))
        names = {*needed(Settings()), *needed(Settings().classical())}
        events = [{name: fed.event(i)[name] for name in names} for i in range(number)]
        voxels, particles = (np.mean([len(event[name]) for event in events]) for name in ("voxels", "candidates"))
        task = Reconstruction(Options())
        for name, given, predict in cases(events):
            predict(given[0])  # compiled
            begin = time.process_time()
            made = [predict(event) for event in given]
            spent = time.process_time() - begin
            scores = task.score(Joined(fed, made), "test", "0")  # type: ignore[arg-type]
            column = dict(task.summary(scores.events))
            objects = scores.objects
            found = objects[(objects["kind"] == "particle") & (objects["side"] == "truth") & objects["same"]]
            for distance, shape, what in _ENDS:
                values = found.loc[(found["shape"] == shape) & (found["match_shape"] == shape), distance]
                column[f"{distance.removesuffix('_distance')}_of_{what}_median_cm"] = float(values.median())
            columns[name] = column | {"milliseconds_per_event": 1000 * spent / number}
    shown = [*_SHOWN, *(k for k in columns["truth"] if "_of_" in k), "milliseconds_per_event"]
    lines = [
        f"{number} simulated events, {voxels:.0f} voxels and {particles:.1f} particles in the mean.",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(f"| {key.replace('_', ' ')} | {' | '.join(f'{c[key]:.3f}' for c in columns.values())} |" for key in shown),
        "",
        f"{processor()}, one thread, processor time, {datetime.date.today()}, commit {commit()}.",
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        command = (__doc__ or "").split("\n\n")[1]
        RESULT.write_text(f"# Reconstruction from true clusters\n\n{command}\n\n{text}\n")


if __name__ == "__main__":
    main()
