# Events: simulated, then converted, shard by shard. Datasets are shared by all experiments.


rule simulate_events:
    output:
        events=layout.raw("{dataset}", "{split}", "{shard}"),
    log:
        log_of("simulate_events", "{dataset}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("simulate_events", "{dataset}", "{split}", "{shard}")
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=simulation_of,
        seed=seed_of,
        first=lambda w: shard_of(w).start,
        number=lambda w: shard_of(w).stop - shard_of(w).start,
    script:
        "../../scripts/simulate_events.py"


rule simulate_stacks:
    output:
        stacks=directory(layout.stacks("{dataset}", "{split}", "{shard}")),
    log:
        log_of("simulate_stacks", "{dataset}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("simulate_stacks", "{dataset}", "{split}", "{shard}")
    wildcard_constraints:
        dataset=any_of(simulated),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=simulation_of,
        seed=seed_of,
        first=lambda w: shard_of(w).start,
        number=lambda w: shard_of(w).stop - shard_of(w).start,
    script:
        "../../scripts/simulate_stacks.py"


rule simulate_towns:
    output:
        towns=directory(layout.towns("{dataset}", "{split}", "{shard}")),
    log:
        log_of("simulate_towns", "{dataset}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("simulate_towns", "{dataset}", "{split}", "{shard}")
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=simulation_of,
        seed=seed_of,
        first=lambda w: shard_of(w).start,
        number=lambda w: shard_of(w).stop - shard_of(w).start,
    script:
        "../../scripts/simulate_towns.py"


rule simulate_streets:
    output:
        streets=directory(layout.streets("{dataset}", "{split}", "{shard}")),
    log:
        log_of("simulate_streets", "{dataset}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("simulate_streets", "{dataset}", "{split}", "{shard}")
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=simulation_of,
        seed=seed_of,
        first=lambda w: shard_of(w).start,
        number=lambda w: shard_of(w).stop - shard_of(w).start,
    script:
        "../../scripts/simulate_streets.py"


rule convert_events:
    input:
        events=source_of,
        parts=parts_of,
    output:
        store=layout.data("{dataset}", "{split}", "{shard}"),
    log:
        log_of("convert_events", "{dataset}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("convert_events", "{dataset}", "{split}", "{shard}")
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        options=conversion_of,
    script:
        "../../scripts/convert_events.py"
