"""Simulate the events of one shard."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.simulation.produce import simulate_file
    from weft.simulation.settings import SimulationSettings

    params = snakemake.params
    simulate_file(
        SimulationSettings.model_validate(params.settings),
        params.seed,
        params.first,
        params.number,
        Path(snakemake.output.events),
        processes=snakemake.threads,
    )
