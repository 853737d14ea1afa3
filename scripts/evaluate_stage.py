"""Score the predictions of one variant against the truth."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft import tasks
    from weft.engine.evaluate import evaluate

    params = snakemake.params
    task = tasks.build(params.options["task"], params.options)
    evaluate(task, params.stores, Path(snakemake.output.events).parent, params.providers)
