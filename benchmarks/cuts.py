r"""Where a cut lies best that comes after the network: the metrics of a model at several values of one option.

    python benchmarks/cuts.py MODEL EVENTS model.points.score 0.5 0.7 0.8 0.85 0.9 [--write NAME]
    python benchmarks/cuts.py MODEL EVENTS model.clustering.p_thresholds 0.5 0.3 0.1 \
        --set model.clustering.s_thresholds=0.8 --metrics ari ari_shower ari_track ari_michel ari_delta

The second is for cuts by class, as SPICE has them: what is found in one class does not depend on the cuts of another,
so one number for all gives every class its column.

MODEL is the `model.ckpt` of a training, EVENTS an event store with labels that it has not seen, and that no claim is
judged on: validation events. The stage is fed the truth, or with --fed what earlier stages have made of these events:
a product that is in one of their stores is read there. The network runs once; its output is decoded at each value.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from weft import tasks
from weft.config.loading import override
from weft.engine.corpus import Corpus
from weft.engine.evaluate import evaluate
from weft.engine.model_file import MEASURED, load_weights, read_model
from weft.engine.stream import EventBatches
from weft.io.products import EventId
from weft.io.provenance import collect
from weft.io.store import EventStore
from weft.io.writer import StoreWriter
from weft.metrics.scores import read_scores

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("events", type=Path)
    parser.add_argument("option", help="key of the stage, such as model.points.score")
    parser.add_argument("values", nargs="+")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="other options of the stage")
    parser.add_argument("--fed", nargs="+", default=[], type=Path, help="stores of predictions")
    parser.add_argument("--metrics", nargs="+", help="columns of the table; default: the headline of the task")
    parser.add_argument("--write", metavar="NAME", help="leave the table in results/NAME.md")
    options = parser.parse_args()
    content = read_model(options.model)
    variants = {
        value: tasks.build(content.task, override(dict(content.options), [*options.set, f"{options.option}={value}"]))
        for value in options.values
    }
    task = tasks.build(content.task, content.options)
    metrics = options.metrics or task.headline
    network = task.network()
    load_weights(network, content.state, str(options.model))
    task.prepare(network, content.provenance.get(MEASURED, {}))
    network.eval()
    files = {"truth": options.events} | {f"fed{k}": path for k, path in enumerate(options.fed)}
    providers = dict.fromkeys(task.reads, "truth") | provided(files)
    corpus = Corpus([files], providers)
    store = corpus.store(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = {value: Path(folder, f"{k}.h5") for k, value in enumerate(variants)}
        with ExitStack() as opened, torch.inference_mode():
            hashes = {alias: file.content_hash for alias, file in store.files.items()}
            writers = {
                value: opened.enter_context(StoreWriter(file, task.makes, provenance={}, parents=hashes))
                for value, file in made.items()
            }
            batches, done = EventBatches(task, corpus, 8, labels=False), 0
            for k in range(len(batches)):
                batch = batches[k]
                output = network(batch)
                decoded = {value: variant.decode(output, batch) for value, variant in variants.items()}
                for value, products in decoded.items():
                    for event, product in zip(store.events[done:], products, strict=False):
                        writers[value].append(EventId.of(event), product)
                done += len(batch)
        for value, variant in variants.items():
            scores = Path(folder, f"scores{len(rows)}")
            evaluate(variant, {"val": {"0000": {**files, "prediction": made[value]}}}, scores, providers)
            pooled = variant.summary(read_scores(scores).events)
            rows.append([value, *(f"{pooled[name]:.4f}" for name in metrics)])
            print(rows[-1], flush=True)
    here = collect()
    model, events = ("/".join(path.resolve().parts[-n:]) for path, n in ((options.model, 4), (options.events, 3)))
    fed = ", ".join(f"`{'/'.join(path.resolve().parts[-6:])}`" for path in options.fed)
    head = [f"`{options.option}`", *metrics]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
    given = {"--fed": ["STORES"] * bool(fed), "--set": options.set, "--metrics": options.metrics or []}
    more = "".join(f" {name} {' '.join(values)}" for name, values in given.items() if values)
    call = f"python benchmarks/cuts.py MODEL EVENTS {options.option} {' '.join(options.values)}{more}"
    text = (
        f"# Where to cut: {content.task}\n\n"
        f"Made by `{call}` of `{model}`,\n"
        f"trained at commit {content.provenance.get('commit', 'unknown')[:7]}, on the {len(store)} events of "
        f"`{events}`,\nfed {fed or 'the truth'}.\n\n{table}\n\n"
        f"{here['device']}, {here['created'][:10]}, commit {here.get('commit', 'unknown')[:7]}.\n"
    )
    print(text)
    if options.write:
        (RESULTS / f"{options.write}.md").write_text(text)


def provided(files: Mapping[str, Path]) -> dict[str, str]:
    """Which of the stores of predictions has a product: ``{product: alias}``."""
    found: dict[str, str] = {}
    for alias, path in files.items():
        if alias != "truth":
            with EventStore.open(path) as store:
                twice = found.keys() & store.products.keys()
                if twice:
                    raise SystemExit(f"--fed: {path} has {', '.join(sorted(twice))} once more")
                found.update(dict.fromkeys(store.products, alias))
    return found


if __name__ == "__main__":
    main()
