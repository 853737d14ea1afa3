"""What the mean over views of an event brings: a trained segmentation judged with one view, two, four, ...

    python benchmarks/views.py MODEL EVENTS [--views 1 2 4 8] [--write]

MODEL is the `model.ckpt` of a training, EVENTS an event store with labels that it has not seen. Prints the pooled
metrics of `weft evaluate` and the processor time of `weft deploy` on one thread, as a multiple of the first row's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from weft import tasks
from weft.engine.deploy import deploy
from weft.engine.evaluate import evaluate
from weft.engine.model_file import read_model
from weft.io.provenance import collect
from weft.metrics.scores import read_scores

OUTPUT = Path(__file__).parent / "results" / "views.md"
METRICS = ("mean_iou", "accuracy", "nll")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("events", type=Path)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--write", action="store_true", help=f"leave the table in {OUTPUT.name}")
    options = parser.parse_args()
    content = read_model(options.model)
    task = tasks.build(content.task, content.options)
    rows, first = [], 0.0
    with tempfile.TemporaryDirectory() as folder:

        def predict(views: int, output: Path) -> float:
            start = time.process_time()
            deploy(task, options.model, {"truth": options.events}, output, {}, threads=1, views=views)
            return time.process_time() - start

        predict(1, Path(folder, "warm.h5"))  # what happens once in a process, such as imports, is no cost of views
        for views in options.views:
            predicted, scores = Path(folder, f"{views}.h5"), Path(folder, str(views))
            seconds = predict(views, predicted)
            first = first or seconds
            evaluate(task, {"test": {"0000": {"truth": options.events, "prediction": predicted}}}, scores)
            counts = read_scores(scores).events
            pooled = task.summary(counts)
            rows.append([views, *(f"{pooled[name]:.4f}" for name in METRICS), f"{seconds / first:.1f}"])
            print(rows[-1], flush=True)
    made = collect()
    head = ["views", *METRICS, "time"]
    # By their places among results, which are the same on every machine: EXPERIMENT/STAGE/VARIANT, DATASET/SPLIT.
    model, events = ("/".join(path.resolve().parts[-n:]) for path, n in ((options.model, 4), (options.events, 3)))
    trained = content.provenance
    command = f"python benchmarks/views.py MODEL EVENTS --views {' '.join(map(str, options.views))} --write"
    table = "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
    text = (
        "# Predictions as the mean over views\n\n"
        f"Made by `{command}` of `{model}`,\n"
        f"seed {trained['seeds']['run']}, trained at commit {trained.get('commit', 'unknown')[:7]}, "
        f"on the {len(counts)} events of `{events}`;\ntime is a multiple of the first row's, on one thread.\n\n"
        f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n{table}\n\n"
        f"{made['device']}, {made['created'][:10]}, commit {made.get('commit', 'unknown')[:7]}.\n"
    )
    print(text)
    if options.write:
        OUTPUT.write_text(text)


if __name__ == "__main__":
    main()
