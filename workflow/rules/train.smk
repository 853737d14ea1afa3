# One rule trains every stage of every experiment; the baseline is one of the variants.


rule train_stage:
    input:
        train=lambda w: files(run_of(w).training_inputs("train")),
        val=lambda w: files(run_of(w).training_inputs("val")),
        weights=lambda w: files(run_of(w).weights()),
    output:
        model=layout.model("{experiment}", "{stage}", "{variant}"),
        provenance=layout.provenance("{experiment}", "{stage}", "{variant}"),
        history=layout.log("{experiment}", "{stage}", "{variant}"),
    log:
        log_of("train_stage", "{experiment}", "{stage}", "{variant}"),
    benchmark:
        benchmark_of("train_stage", "{experiment}", "{stage}", "{variant}")
    conda:
        "../../envs/train.yaml"
    threads: lambda w: resources_of(w).threads if run_of(w).is_baseline else resources_of(w).cpus
    resources:
        mem_mb=lambda w: resources_of(w).mem_mb,
        runtime=lambda w: resources_of(w).runtime,
        gpu=lambda w: gpus_of(w),
        processes=lambda w: 1 if run_of(w).is_baseline else resources_of(w).processes,
        loader_workers=workers_of,
    params:
        options=lambda w: run_of(w).training_options(),
        baseline=lambda w: run_of(w).is_baseline,
        feeds=lambda w: run_of(w).training_feeds,
        train=lambda w: list(run_of(w).training_inputs("train").values()),
        val=lambda w: list(run_of(w).training_inputs("val").values()),
        weights=lambda w: run_of(w).weights(),
        # Undeclared, so that checkpoints outlive a job that was stopped.
        work=lambda w: run_of(w).work,
    script:
        "../../scripts/train_stage.py"
