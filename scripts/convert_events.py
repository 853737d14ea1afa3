"""Convert one shard of detector data to an event store."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.io.convert import convert_file

    convert_file(Path(snakemake.input.events), Path(snakemake.output.store), **snakemake.params.options)
