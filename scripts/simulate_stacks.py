"""Simulate the stacks of one shard."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.simulation.stacks.produce import simulate_folder
    from weft.simulation.stacks.settings import StackSettings

    params = snakemake.params
    simulate_folder(
        StackSettings.model_validate(params.settings),
        params.seed,
        params.first,
        params.number,
        Path(snakemake.output.stacks),
        processes=snakemake.threads,
    )
