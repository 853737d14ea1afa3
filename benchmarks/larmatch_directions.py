"""What a trained LArMatch network knows of directions: a head learned anew on its features, as vector and as axis.

    python benchmarks/larmatch_directions.py results/larmatch-study/larmatch/seed0/model.ckpt \
        --data results/data/wires-study --triplets results/larmatch-study/triplets/seed0/predictions/truth \
        --write benchmarks/results/larmatch_directions.md

The network stays as it is; a perceptron as its head `affinity` learns from good triplets of training events, mirrored
at random as in a training, and is judged on validation events. If the vector is not learned and the axis is, the
features hold the line along which charge lies, but not the sense in which the particle went.
"""

import argparse
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weft import tasks
from weft.engine.corpus import Corpus
from weft.engine.model_file import load_weights, read_model
from weft.io.products import SHOWER, TRACK
from weft.reco.feed import processes_of
from weft.tasks.larmatch.batch import TripletBatch
from weft.tasks.larmatch.counting import angle_between
from weft.tasks.larmatch.gather import extract_features
from weft.tasks.larmatch.heads import perceptron
from weft.tasks.larmatch.loss import LarmatchLoss
from weft.tasks.larmatch.loss_options import LossOptions
from weft.tasks.larmatch.views import random_view
from weft.triplets.stored_truth import read_truth

FORMS = ("vector", "axis")
KINDS = {"all": None, "tracks": TRACK, "showers": SHOWER}
PER_EVENT, EVENTS_PER_STEP = 1500, 8


@dataclass
class Known:
    """Features, true directions and shapes of the particles of some good triplets of an event."""

    features: Tensor
    along: Tensor
    shape: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the dataset, with the folders train and val"
    )
    parser.add_argument("--triplets", type=Path, required=True, help="folder of their triplets, likewise")
    parser.add_argument("--events", type=int, nargs=2, default=(240, 60), help="of the training and the validation")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = read_model(chosen.model)
    task = tasks.build("larmatch", model.options)
    network = task.network()
    load_weights(network, model.state, str(chosen.model))
    network.eval()
    rng = np.random.default_rng(0)
    train, val = (
        list(known(task, network, corpus(chosen, split), number, rng))
        for split, number in zip(("train", "val"), chosen.events, strict=True)
    )
    hidden, leak = task.options.model.heads["affinity"], task.options.model.leak
    lines = [
        "# Directions from the features of a trained network",
        "",
        f"    python {shlex.join(sys.argv)}",
        "",
        f"{len(train)} training events, {len(val)} validation events, at most {PER_EVENT} triplets of each; "
        f"{chosen.steps} steps of {EVENTS_PER_STEP} events, learning rate up to {chosen.rate:g}. At random 3.0 % of "
        "the vectors and 6.0 % of the lines are right within 20°, and the medians are 90° and 60°.",
        "",
        "| learned | loss on validation | of | triplets | vector: within 20°, median | line: within 20°, median |",
        "|---|---|---|---|---|---|",
    ]
    for form in FORMS:
        loss, angles, shape = learned(form, train, val, [*hidden, 3], leak, chosen.steps, chosen.rate)
        for name, kind in KINDS.items():
            angle = angles if kind is None else angles[shape == kind]
            cells = [
                f"{100 * (found <= 20).mean():.1f} %, {np.median(found):.0f}°"
                for found in (angle, np.minimum(angle, 180 - angle))
            ]
            lines.append(f"| {form} | {loss:.3f} | {name} | {len(angle):,} | {cells[0]} | {cells[1]} |")
    lines.append("")
    print("\n".join(lines))
    if chosen.write is not None:
        chosen.write.write_text("\n".join(lines), encoding="utf-8")


def corpus(chosen: argparse.Namespace, split: str) -> Corpus:
    files = sorted((chosen.data / split).glob("*.h5"))
    shards = [{"truth": file, "triplets": chosen.triplets / split / file.name} for file in files]
    return Corpus(shards, {"pixels": "triplets", "triplets": "triplets"})


def known(task: Any, network: Any, events: Corpus, number: int, rng: np.random.Generator) -> Iterable[Known]:
    """What is known of so many events, those without directions left out."""
    for k in range(min(number, len(events))):
        event = events[k]
        sample = task.sample(event, (0, k), True)
        batch = task.collate([sample.with_arrays(**random_view(sample.arrays, True, 0, rng))])
        along = batch.targets["affinity"]
        rows = np.flatnonzero(along.isfinite().all(1).numpy())
        rows = np.sort(rng.permutation(rows)[:PER_EVENT])
        if not len(rows):
            continue
        with torch.no_grad():
            features = extract_features(network.pixels(batch), batch.triplets[rows])
        read = {name: event[f"truth/{name}"] for name in task.labels}.__getitem__
        truth = read_truth(read, event["pixels"], event["triplets"], task.options.data.labels, processes_of(event))
        shape = event["truth/particles"]["shape"][truth.triplets["particle"][rows]]
        yield Known(features, along[rows], shape)


def learned(
    form: str, train: list[Known], val: list[Known], widths: list[int], leak: float, steps: int, rate: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss of the head on validation events; angle and shape of each of their triplets."""
    torch.manual_seed(0)
    head = perceptron([train[0].features.shape[1], *widths], leak)
    loss = LarmatchLoss(LossOptions.model_validate({"affinity": {"form": form}}), ["affinity"])
    optimizer = torch.optim.AdamW(head.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.05)
    for _ in range(steps):
        drawn = [train[int(k)] for k in torch.randint(len(train), (EVENTS_PER_STEP,))]
        optimizer.zero_grad()
        mean(loss, head, drawn).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        said = np.concatenate([head(event.features).numpy() for event in val])
        value = float(mean(loss, head, val))
    true = np.concatenate([event.along.numpy() for event in val])
    return value, angle_between(said, true), np.concatenate([event.shape for event in val])


def mean(loss: LarmatchLoss, head: torch.nn.Module, events: list[Known]) -> Tensor:
    sizes = [len(event.along) for event in events]
    batch = TripletBatch(
        coords=torch.zeros((0, 3), dtype=torch.int32),
        features=torch.zeros((0, 1)),
        offsets=torch.zeros(len(events) + 1, dtype=torch.int64),
        events=[],
        targets={"affinity": torch.cat([event.along for event in events])},
        triplets=torch.zeros((sum(sizes), 3), dtype=torch.int64),
        triplet_offsets=torch.tensor([0, *np.cumsum(sizes)]),
    )
    total, weight = loss({"affinity": head(torch.cat([event.features for event in events]))}, batch)["affinity"]
    return total / weight


if __name__ == "__main__":
    main()
