"""Make training data of the segmentations of one split that are kept."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.config.curated import CurationOptions
    from weft.io.atomic import atomic_folder
    from weft.volumes.curation.curate import curate
    from weft.volumes.curation.table import decided, read_table

    params = snakemake.params
    rows = read_table(Path(snakemake.input.table))
    if snakemake.input.decisions:
        source = Path(snakemake.input.decisions[0])
        rows = decided(rows, read_table(source), source)
    with atomic_folder(snakemake.output.stacks) as folder:
        print(curate(rows, params.how, folder, CurationOptions.model_validate(params.options)))
