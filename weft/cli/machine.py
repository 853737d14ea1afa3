"""Verbs on this machine: bench and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weft.cli.arguments import Scale
from weft.cli.lookup import find_experiment
from weft.cli.program import app
from weft.errors import WeftError

bench = typer.Typer(help="Side-by-side measurements on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("sparse")
def bench_sparse() -> None:
    """Training steps of the seed U-ResNet: our sparse engine beside MinkowskiEngine.

    Example: `weft bench sparse`
    """
    from weft.sparse.benchmark import main as run_benchmark

    run_benchmark()


@bench.command("triplets")
def bench_triplets(
    detector: Annotated[str, typer.Option(help="name of a file in config/detectors, or its path")] = "microboone",
    dead: Annotated[float, typer.Option(min=0, max=1, help="share of dead wires")] = 0.1,
    rounds: Annotated[int, typer.Option(min=1, help="rounds; the fastest counts")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="a .md file; a figure .svg goes beside it")
    ] = None,
) -> None:
    """Time the search for triplets against the number of pixels in a row.

    Example: `weft bench triplets -o benchmarks/results/triplets.md`
    """
    from weft.config.detector import load_detector
    from weft.io.provenance import collect
    from weft.triplets.benchmark import draw, measure, page

    loaded = load_detector(detector)
    timings = measure(loaded, share=dead, rounds=rounds)
    record = collect()
    when = f"{record['created'][:10]}, commit {record.get('commit', 'unknown')[:7]}"
    command = f"weft bench triplets --detector {detector} --dead {dead} --rounds {rounds}"
    text = page(loaded, timings, dead, command, when)
    print(text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        draw(timings, str(output.with_suffix(".svg")))


@bench.command("chain")
def bench_chain(
    experiment: Annotated[str, typer.Argument(help="experiment with the stages of the full chain")] = "full_chain",
    scale: Scale = None,
    models: Annotated[
        Path | None, typer.Option(help="results folder with its checkpoints; default: random weights, fed the truth")
    ] = None,
    events: Annotated[Path | None, typer.Option(help="event store; default: simulated events")] = None,
    count: Annotated[int, typer.Option(min=1, help="events in a batch")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="how often everything is run, in turns")] = 5,
    sizes: Annotated[str, typer.Option(help="voxels of the events of the growth, by commas; empty: none")] = (
        "1000,3000,10000,30000,100000,200000"
    ),
    peer: Annotated[bool, typer.Option(help="beside SPINE with MinkowskiEngine, which must be installed")] = True,
    threads: Annotated[int, typer.Option(min=1, help="of both sides")] = 1,
    beside: Annotated[str, typer.Option(help="what else ran on the machine, for the page")] = "not said",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="write the page here too")] = None,
) -> None:
    """Every stage of the chain: events/s beside SPINE's, a training step, and the growth with the event's size.

    Example: `weft bench chain --scale demo --models results -o benchmarks/results/chain.md`
    """
    import torch

    from weft.bench.chain import ALIKE
    from weft.bench.chain import bench_chain as run_benchmark

    try:
        wanted = [int(size) for size in sizes.split(",") if size]
    except ValueError:
        raise WeftError(f"--sizes {sizes}: expected whole numbers by commas") from None
    torch.set_num_threads(threads)
    loaded, dataset = find_experiment(experiment, scale, list(ALIKE))
    command = f"weft bench chain {experiment} --scale {loaded.scale} --count {count} --rounds {rounds}"
    command += " --models RESULTS" if models else ""
    command += " --events EVENTS" if events else ""
    found = run_benchmark(
        loaded, dataset, command=command, models=models, events=events, count=count, rounds=rounds, sizes=wanted,
        peer=peer, beside=beside,
    )  # fmt: skip
    print(found)
    if output is not None:
        output.write_text(found + "\n")


@app.command()
def doctor() -> None:
    """Versions, devices, engines, and what is missing.

    Example: `weft doctor`
    """
    from weft.doctor import examine

    examine()
