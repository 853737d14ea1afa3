"""Predict one shard with all stages of a chain."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.tasks.linking import run_chain

    params, resources = snakemake.params, snakemake.resources
    run_chain(
        params.options,
        params.models,
        Path(snakemake.input.events),
        Path(snakemake.output.predictions),
        batch_sizes=params.batch_sizes,
        gpu=bool(resources.gpu),
        threads=snakemake.threads,
    )
