"""Train one stage with one seed, or fit its baseline."""

from pathlib import Path

from weft.engine.logs import job_log

with job_log(snakemake.log[0]):
    from weft import tasks
    from weft.config import Resources, Stage
    from weft.engine.fixed import settle

    params, resources = snakemake.params, snakemake.resources
    options, output = params.options, Path(snakemake.output.model).parent
    task = tasks.build(options["task"], options)
    if params.baseline:
        from weft.engine.fit import fit_baseline

        fit_baseline(task, params.train, output, options, options["seed"], params.feeds, snakemake.threads)
    elif not task.learned:
        settle(task, output, options, options["seed"])
    elif "checkpoint" in options:
        from weft.engine.given_model import use_given

        use_given(task, Path(options["checkpoint"]), output, options, options["seed"])
    else:
        from weft.engine.fit import fit

        # What the result does not depend on comes as resources: another value there retrains nothing.
        training = options["training"] | {"workers": resources.loader_workers}
        machine = Resources(gpu=resources.gpu, processes=resources.processes)
        settings = options | {"training": training, "resources": machine.model_dump()}
        seed = settings.pop("seed")
        stage, work = Stage.model_validate(settings), Path(params.work)
        threads = max(1, snakemake.threads // machine.ranks)
        fit(task, stage, seed, params.train, params.val, output, work, options, params.weights, threads=threads)
