# Predictions of a trained stage, or of its baseline, shard by shard.


rule deploy_stage:
    input:
        events=lambda w: files(run_of(w).shard_inputs(w.split, w.shard, w.source)),
        model=layout.model("{experiment}", "{stage}", "{variant}"),
    output:
        predictions=layout.predictions("{experiment}", "{stage}", "{variant}", "{source}", "{split}", "{shard}"),
    log:
        log_of("deploy_stage", "{experiment}", "{stage}", "{variant}", "{source}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("deploy_stage", "{experiment}", "{stage}", "{variant}", "{source}", "{split}", "{shard}")
    conda:
        "../../envs/train.yaml"
    threads: lambda w: resources_of(w).threads
    resources:
        mem_mb=lambda w: resources_of(w).mem_mb,
        runtime=lambda w: resources_of(w).runtime,
        gpu=lambda w: min(1, gpus_of(w)),
        batch_size=lambda w: run_of(w).stage.evaluation.batch_size,
    params:
        options=lambda w: run_of(w).deploy_options(),
        events=lambda w: run_of(w).shard_inputs(w.split, w.shard, w.source),
        providers=lambda w: run_of(w).providers(w.source),
        baseline=lambda w: run_of(w).is_baseline,
    script:
        "../../scripts/deploy_stage.py"


# All stages of an experiment over one shard, in one process: the same products, and no predictions in between.
rule deploy_chain:
    input:
        events=lambda w: chain_of_run(w).events(w.split, w.shard),
        models=lambda w: files(chain_of_run(w).models()),
    output:
        predictions=layout.predictions("{experiment}", CHAIN, "{variant}", "truth", "{split}", "{shard}"),
    log:
        log_of("deploy_chain", "{experiment}", "{variant}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("deploy_chain", "{experiment}", "{variant}", "{split}", "{shard}")
    conda:
        "../../envs/train.yaml"
    threads: lambda w: chain_of_run(w).threads
    resources:
        mem_mb=lambda w: chain_of_run(w).mem_mb,
        runtime=lambda w: chain_of_run(w).runtime,
        gpu=lambda w: int(chain_of_run(w).gpu),
        # A resource, like that of deploy_stage: another size is no reason to predict again.
        batch_sizes=lambda w: ",".join(map(str, chain_of_run(w).batch_sizes().values())),
    params:
        options=lambda w: chain_of_run(w).options(),
        models=lambda w: chain_of_run(w).models(),
    script:
        "../../scripts/deploy_chain.py"


# What became of every file: the last job of `deploy_<experiment>`. It is written too when jobs have failed (Snakefile).
rule list_deployed:
    input:
        predictions=lambda w: chain_files(experiments[w.experiment]),
    output:
        table=layout.deployed("{experiment}"),
    log:
        log_of("list_deployed", "{experiment}"),
    benchmark:
        benchmark_of("list_deployed", "{experiment}")
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        experiment=lambda w: without_running(experiments[w.experiment]),
        dataset=lambda w: dataset_of(w.experiment).model_dump(mode="json"),
        layout=vars(layout),
    script:
        "../../scripts/list_deployed.py"
