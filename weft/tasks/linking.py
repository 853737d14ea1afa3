"""The stages of a chain, ready to predict, from their options."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm
from pathlib import Path
from typing import Any

from weft import tasks
from weft.engine.chain import Link, deploy_chain
from weft.engine.fed import feed_from
from weft.engine.predict import predictor
from weft.progress import Report


def run_chain(
    options: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, str],
    events: Path,
    output: Path,
    *,
    batch_sizes: Mapping[str, int],
    gpu: bool = False,
    threads: int | None = None,
    progress: Report | None = None,
) -> None:
    """Write the products of all stages on one event file to ``output`` (:func:`weft.engine.chain.deploy_chain`).

    options: of each stage, in order (:meth:`weft.config.chain.Chain.options`). models: the model file of each; of one
    that learns nothing it may be missing.
    batch_sizes: samples a batch of each. A trunk that several networks have runs once.
    """
    from weft.engine.shared_trunks import SharedTrunks

    links: list[Link] = []
    shared = SharedTrunks()
    for name, given in options.items():
        task = tasks.build(given["task"], given, f"stage '{name}'")
        predict = predictor(
            task,
            Path(models[name]) if name in models else None,
            baseline=given.get("is_baseline", False),
            batch_size=batch_sizes[name],
            gpu=gpu,
            threads=threads,
            views=given.get("views", 1),
            adopt=shared.adopt,
            feed=feed_from(
                task.reads, given["providers"], {link.name: link.task for link in links}, given.get("differs", ())
            ),
        )
        links.append(Link(name, task, predict, given["providers"]))
    deploy_chain(links, events, output, options, models, lcm(*batch_sizes.values()), progress)
