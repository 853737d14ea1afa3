"""Score the predictions of one variant against the truth."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft import tasks
    from weft.engine.evaluate import evaluate

    options = snakemake.params.options
    evaluate(tasks.build(options["task"], options), snakemake.params.stores, Path(snakemake.output.events).parent)
