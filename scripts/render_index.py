"""Write the page that compares the experiments."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.report.index import render_index

    render_index(Path(snakemake.output.page), [Path(report) for report in snakemake.input.reports])
