"""Convert one shard of detector data to an event store."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft.config.detector import detector_of
    from weft.config.mesh_files import MeshFileOptions
    from weft.io.convert import convert_file

    options = dict(snakemake.params.options)
    detector = detector_of(options.pop("detector", None))
    if "meshes" in options:
        options["meshes"] = MeshFileOptions(**options["meshes"]).reading()
    convert_file(Path(snakemake.input.events), Path(snakemake.output.store), detector=detector, **options)
