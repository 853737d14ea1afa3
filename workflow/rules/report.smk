# One page per experiment, and an index that compares all that there are.

# What the user called each experiment: a name or a path.
sources = {experiment.id: name for name, (experiment, _) in zip(names, loaded)}


rule render_report:
    input:
        scores=lambda w: [run.score(table, source) for run in runs_of(w) for source in run.sources for table in TABLES],
        histories=lambda w: [run.log for run in runs_of(w)],
        provenance=lambda w: [run.provenance for run in runs_of(w)],
        # Some of the events are drawn.
        stores=lambda w: sorted(
            {path for run in runs_of(w) for source in run.sources for path in files(run.evaluation_inputs(source))}
        ),
    output:
        page=report(
            layout.report("{experiment}"),
            caption="../report/experiment.rst",
            category="Experiments",
            labels={"experiment": "{experiment}"},
        ),
    log:
        log_of("render_report", "{experiment}"),
    benchmark:
        benchmark_of("render_report", "{experiment}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        experiment=lambda w: experiments[w.experiment].model_dump(mode="json"),
        dataset=lambda w: runs_of(w)[0].dataset.model_dump(mode="json"),
        layout=vars(layout),
        source=lambda w: sources[w.experiment],
    script:
        "../../scripts/render_report.py"


rule render_index:
    input:
        # Reports of other calls (another scale, other experiments) are found beside these.
        reports=[layout.report(experiment) for experiment in judged],
    output:
        page=report(layout.index(), caption="../report/index.rst", category="Overview"),
    log:
        log_of("render_index", "index"),
    benchmark:
        benchmark_of("render_index", "index")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../../scripts/render_index.py"
