"""List what became of every file that the chain of an experiment was to be run on."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.config import Experiment, Layout, dataset_from
    from weft.report.deployed import deployed, summary, write_deployed

    params = snakemake.params
    found = deployed(
        Experiment.model_validate(params.experiment), dataset_from(params.dataset), Layout(**params.layout)
    )
    write_deployed(found, Path(snakemake.output.table))
    print("\n".join(summary(found)))
