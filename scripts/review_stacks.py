"""Measure, draw and list the segmentations of one split that may become training data."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.config.curated import Acceptance, CurationOptions
    from weft.volumes.curation.candidates import of_stores
    from weft.volumes.curation.review import review

    params = snakemake.params
    images, segmentations, others = (
        [Path(path) for path in paths] for paths in (params.images, params.segmentations, params.others)
    )
    accept = Acceptance.model_validate(params.accept) if params.accept else None
    options = CurationOptions.model_validate(params.options)
    review(of_stores(images, segmentations, others), Path(snakemake.output.table).parent, accept, options)
