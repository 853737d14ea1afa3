# Score tables of one variant: sufficient counts per event, from which every figure and interval follows.


rule evaluate_stage:
    input:
        stores=lambda w: files(run_of(w).evaluation_inputs(w.source)),
    output:
        **{table: layout.scores("{experiment}", "{stage}", "{variant}", "{source}", table) for table in TABLES},
    log:
        log_of("evaluate_stage", "{experiment}", "{stage}", "{variant}", "{source}"),
    benchmark:
        benchmark_of("evaluate_stage", "{experiment}", "{stage}", "{variant}", "{source}")
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        options=lambda w: run_of(w).deploy_options(),
        stores=lambda w: run_of(w).evaluation_inputs(w.source),
        providers=lambda w: run_of(w).providers(w.source),
    script:
        "../../scripts/evaluate_stage.py"
