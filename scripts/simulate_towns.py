"""Simulate the tiles of one shard."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.simulation.towns.produce import simulate_towns
    from weft.simulation.towns.settings import TownSettings

    params = snakemake.params
    simulate_towns(
        TownSettings.model_validate(params.settings),
        params.seed,
        params.first,
        params.number,
        Path(snakemake.output.towns),
        processes=snakemake.threads,
    )
