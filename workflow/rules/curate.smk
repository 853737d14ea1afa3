# Segmentations become training data: measured and drawn, then, as a person or a rule decides, a folder of stacks. It is
# converted as simulated ones are, so what is trained on it is an experiment as any other.


rule review_stacks:
    input:
        stores=lambda w: curation_of_split(w).stores,
    output:
        table=layout.candidates("{dataset}", "{split}"),
        sheets=directory(layout.sheets("{dataset}", "{split}")),
    log:
        log_of("review_stacks", "{dataset}", "{split}"),
    benchmark:
        benchmark_of("review_stacks", "{dataset}", "{split}")
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        images=lambda w: curation_of_split(w).images,
        segmentations=lambda w: curation_of_split(w).segmentations,
        others=lambda w: curation_of_split(w).others,
        accept=lambda w: curation_of_split(w).accept,
        options=lambda w: curation_of_split(w).options,
    script:
        "../../scripts/review_stacks.py"


rule curate_stacks:
    input:
        table=layout.candidates("{dataset}", "{split}"),
        stores=lambda w: curation_of_split(w).stores,
        # The table of decisions first, then the masks that it names.
        decisions=lambda w: decisions_of(w),
    output:
        stacks=directory(layout.stacks("{dataset}", "{split}", "{shard}")),
    log:
        log_of("curate_stacks", "{dataset}", "{split}", "{shard}"),
    benchmark:
        benchmark_of("curate_stacks", "{dataset}", "{split}", "{shard}")
    wildcard_constraints:
        dataset=any_of(curated),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        how=lambda w: curation_of_split(w).how,
        options=lambda w: curation_of_split(w).options,
    script:
        "../../scripts/curate_stacks.py"
