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
        batch_sizes=dict(zip(params.options, map(int, resources.batch_sizes.split(",")), strict=True)),
        gpu=bool(resources.gpu),
        threads=snakemake.threads,
    )
