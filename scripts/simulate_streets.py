"""Simulate the pictures of one shard."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.simulation.streets.produce import simulate_folder
    from weft.simulation.streets.settings import StreetSettings

    params = snakemake.params
    simulate_folder(
        StreetSettings.model_validate(params.settings),
        params.seed,
        params.first,
        params.number,
        Path(snakemake.output.streets),
        processes=snakemake.threads,
    )
