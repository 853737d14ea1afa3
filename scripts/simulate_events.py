"""Simulate the events of one shard."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.config.loading import validate
    from weft.simulation.produce import simulate_file
    from weft.simulation.settings import SimulationSettings

    params = snakemake.params
    simulate_file(
        validate(SimulationSettings, params.settings, "simulation"),
        params.seed,
        params.first,
        params.number,
        Path(snakemake.output.events),
        processes=snakemake.threads,
    )
