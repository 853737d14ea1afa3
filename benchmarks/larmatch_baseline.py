"""How good the baseline of LArMatch is with what it is told, and how long it takes.

    python benchmarks/larmatch_baseline.py results/data/wires-demo \
        results/larmatch-demo/triplets/seed0/predictions/truth '{}' '{"kind": "trees"}' '{"multiplicity": false}'

Fits it to the training events and judges it on the test events, once for each set of options of the baseline.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from weft.engine.corpus import Corpus
from weft.io.wire_products import UNKNOWN_TRIPLET
from weft.reco.feed import FedEvent, processes_of
from weft.tasks.larmatch.baseline import LarmatchBaseline
from weft.tasks.larmatch.options import Options
from weft.triplets.stored_truth import read_truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the dataset, with train and test")
    parser.add_argument("triplets", type=Path, help="folder of the triplets of both")
    parser.add_argument("options", nargs="+", type=json.loads, help="options of the baseline, JSON")
    chosen = parser.parse_args()
    print("| options | average precision | ROC area | fit [s] | predict [s] |")
    print("|---|---|---|---|---|")
    for told in chosen.options:
        options = Options.model_validate({"baseline": told, "data": {"min_score": 0.0}})
        baseline, start = LarmatchBaseline(options), time.process_time()
        baseline.fit(events(chosen.data / "train", chosen.triplets / "train"), seed=0)
        fitted, predicted = time.process_time() - start, 0.0
        good, said = [], []
        for event in events(chosen.data / "test", chosen.triplets / "test"):
            start = time.process_time()
            score = baseline.predict(event)["triplet_scores"].values["larmatch"]
            predicted += time.process_time() - start
            states = truth(event, options)
            good.append(states[states != UNKNOWN_TRIPLET])
            said.append(score[states != UNKNOWN_TRIPLET])
        true, scores = np.concatenate(good), np.concatenate(said)
        quality = average_precision_score(true, scores), roc_auc_score(true, scores)
        print(
            f"| `{json.dumps(told)}` | {quality[0]:.3f} | {quality[1]:.3f} | {fitted:.1f} | {predicted:.1f} |",
            flush=True,
        )


def events(data: Path, triplets: Path) -> Iterator[FedEvent]:
    """Events with their triplets, as the stage is fed them."""
    files = [file for file in sorted(data.glob("*.h5")) if (triplets / file.name).exists()]
    corpus = Corpus(
        [{"truth": file, "triplets": triplets / file.name} for file in files],
        {"pixels": "triplets", "triplets": "triplets"},
    )
    yield from corpus


def truth(event: FedEvent, options: Options) -> np.ndarray:
    """Good, ghost or unknown, of every triplet."""
    return read_truth(
        lambda name: event[f"truth/{name}"],
        event["pixels"],
        event["triplets"],
        options.data.labels,
        processes_of(event),
    ).triplets["good"]


if __name__ == "__main__":
    main()
