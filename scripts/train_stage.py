"""Train one stage with one seed, or fit its baseline."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft import tasks
    from weft.config import Stage
    from weft.engine.fit import fit, fit_baseline

    params, resources = snakemake.params, snakemake.resources
    options = params.options
    task = tasks.build(options["task"], options)
    output = Path(snakemake.output.model).parent
    if snakemake.wildcards.variant == "baseline":
        fit_baseline(task, params.train, output, options, options["seed"])
    else:
        stage = Stage.of(options, threads=snakemake.threads, gpu=resources.gpu, workers=resources.loader_workers)
        fit(
            task, stage, options["seed"], params.train, params.val, output, Path(params.work), options,
            weights=params.weights, threads=snakemake.threads,
        )  # fmt: skip
