# Weft: from events to trained reconstruction and a report.
#
#   snakemake --cores 8                        every experiment of config/config.yaml
#   snakemake --cores 8 segmentation           one experiment
#   snakemake --cores 8 deploy_full_chain      all stages of one over its test events, in one process
#   snakemake --cores 8 --config scale=study   larger, see config/README.md
#   snakemake --profile slurm                  the same on a cluster, see docs/workflow.md
#
# The science is in weft/; a rule's script unpacks `snakemake` and calls one function of it.

from snakemake.utils import min_version

min_version("9.5")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/dataprep.smk"
include: "workflow/rules/curate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/deploy.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        layout.index() if judged else [],
        [layout.deployed(experiment) for experiment in experiments if experiment not in judged],


for experiment in experiments.values():

    rule:
        name:
            experiment.name
        input:
            layout.report(experiment.id) if experiment.truth else layout.deployed(experiment.id),


for target, chosen in deploy_targets().items():

    rule:
        name:
            target
        input:
            [layout.deployed(experiment) for experiment in chosen],


onstart:
    remember_given()


onsuccess:
    for experiment in experiments:
        if Path(layout.report(experiment)).exists():
            print("Report:", Path(layout.report(experiment)).resolve())
    say_deployed(write=False)


onerror:
    # The rule that writes it waits for what has failed.
    say_deployed(write=True)
