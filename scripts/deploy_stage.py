"""Predict one shard with a trained stage, or with its baseline."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft import tasks
    from weft.engine.deploy import deploy

    params, resources = snakemake.params, snakemake.resources
    deploy(
        tasks.build(params.options["task"], params.options),
        Path(snakemake.input.model),
        params.events,
        Path(snakemake.output.predictions),
        params.options,
        baseline=params.baseline,
        providers=params.providers,
        batch_size=resources.batch_size,
        gpu=bool(resources.gpu),
        threads=snakemake.threads,
        views=params.options.get("views", 1),
    )
