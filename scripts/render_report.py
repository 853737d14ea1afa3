"""Write the HTML report of one experiment."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft import tasks
    from weft.config import Experiment, Layout, dataset_from
    from weft.report.experiment import report_experiment

    experiment = Experiment.model_validate(snakemake.params.experiment)
    report_experiment(
        experiment,
        dataset_from(snakemake.params.dataset),
        {name: tasks.of(stage) for name, stage in experiment.stages.items()},
        Layout(**snakemake.params.layout),
        Path(snakemake.output.page),
        snakemake.params.source,
    )
