# What the rules share: the validated configuration, and look-ups by wildcard. There are no rules here.

import re
import sys
from pathlib import Path

import jsonschema
import yaml

from weft.config import CHAIN, Layout, chains_of, load_dataset, plan
from weft.config.curation import curation_of, segmented_by, truths_of
from weft.config.given import Given, load_with, remember
from weft.config.layout import TABLES
from weft.config.loading import ConfigError, closest
from weft.errors import WeftError
from weft.io.image_files import files_of as files_of_images
from weft.io.image_files import is_images
from weft.io.mesh_files import files_of as files_of_meshes
from weft.io.mesh_files import is_meshes
from weft.io.stack_files import files_of
from weft.simulation.settings import settings_of
from weft.tasks import resolve


def check(given):
    """Refuse a config that does not fit workflow/schemas/config.schema.yaml, naming the key."""
    with open(workflow.source_path("../schemas/config.schema.yaml")) as file:
        schema = yaml.safe_load(file)
    known = list(schema["properties"])
    for key in sorted(set(given) - set(known)):
        raise ConfigError(f"unknown key '{key}'{closest(key, known)}; known: {', '.join(known)}")
    for error in jsonschema.Draft202012Validator(schema).iter_errors(given):
        raise ConfigError(": ".join([*map(str, error.path), error.message]))


def load(name):
    """An experiment with the options of its tasks filled in, and its dataset."""
    experiment, dataset = load_with(name, config["scale"], Given.of_call(config))
    return resolve(experiment), dataset


def load_all(names):
    """Names and experiments that are asked for, and those whose segmentations their datasets are made of."""
    names, loaded = list(names), []
    for name in names:
        loaded.append(load(name))
        names += [other for other in segmented_by(loaded[-1][1]) if other not in names]
    return names, loaded


def decision_files(table):
    """A table of decisions and the masks that it names; none where a rule decides."""
    if table is None:
        return []
    from weft.volumes.curation.table import files_of

    return [str(path) for path in files_of(Path(table))]


def one(items, what):
    """``{id: item}``; two different items under one id would overwrite each other's results."""
    found = {}
    for item in items:
        if found.setdefault(item.id, item) != item:
            raise ConfigError(f"two {what} are called '{item.id}'; rename one")
    return found


try:
    check(config)
    layout = Layout(config["results"])
    names, loaded = load_all(config["experiments"])
    by_name = dict(zip(names, loaded, strict=True))
    experiments = one((experiment for experiment, _ in loaded), "experiments")
    truths = {name: load_dataset(name, config["scale"]) for _, dataset in loaded for name in truths_of(dataset)}
    datasets = one([*(dataset for _, dataset in loaded), *truths.values()], "datasets")
    judged = [experiment.id for experiment, _ in loaded if experiment.truth]
    dataset_ids = {experiment.id: dataset.id for experiment, dataset in loaded}
    runs = {
        (experiment.id, run.stage_name, run.variant): run
        for experiment, dataset in loaded
        for run in plan(experiment, dataset, layout)
    }
    chains = {
        (experiment.id, variant): chain
        for experiment, dataset in loaded
        for variant, chain in chains_of(experiment, dataset, layout).items()
    }
    shards = {
        (dataset.id, split): {shard.id: shard for shard in dataset.shards(split)}
        for dataset in datasets.values()
        for split in dataset.splits
    }
    # With the defaults, so that a job knows when one of them has changed.
    simulations = {
        (dataset.id, split): settings_of(dataset, split).model_dump(mode="json")
        for dataset in datasets.values()
        if dataset.source == "simulation"
        for split in dataset.splits
    }
    curated = [dataset.id for dataset in datasets.values() if dataset.source == "curated"]
    simulated = [dataset.id for dataset in datasets.values() if dataset.source == "simulation"]
    curations = {
        (name, split): curation_of(datasets[name], split, layout, by_name.get, truths.get)
        for name in curated
        for split in datasets[name].splits
    }
    decisions = {key: decision_files(curation.decisions) for key, curation in curations.items()}
except WeftError as error:
    sys.exit(f"config: {error}")


wildcard_constraints:
    dataset=r"[^/]+",
    split=r"[^/]+",
    shard=r"[^/]+",
    experiment=r"[^/]+",
    # The chain of all stages has a rule of its own.
    stage=rf"(?!{CHAIN}/)[^/]+",
    variant=r"[^/]+",
    source=r"[^/]+",


def log_of(rule, *wildcards):
    return layout.job_log(rule, *wildcards)


def benchmark_of(rule, *wildcards):
    return f"{Path(layout.root, 'benchmarks', rule, *wildcards)}.tsv"


def files(nested):
    """All paths in nested dictionaries, lists and tuples."""
    if isinstance(nested, str):
        return [nested]
    inner = nested.values() if isinstance(nested, dict) else nested
    return [path for item in inner for path in files(item)]


def any_of(names):
    """A pattern for each of these names, and nothing else."""
    return "|".join(map(re.escape, names)) or "(?!)"


def curation_of_split(wildcards):
    return curations[wildcards.dataset, wildcards.split]


def decisions_of(wildcards):
    return decisions[wildcards.dataset, wildcards.split]


def shard_of(wildcards):
    return shards[wildcards.dataset, wildcards.split][wildcards.shard]


def seed_of(wildcards):
    return datasets[wildcards.dataset].split(wildcards.split).seed


def simulation_of(wildcards):
    return simulations[wildcards.dataset, wildcards.split]


def source_of(wildcards):
    """The file or folder that a shard is converted from: one of the user's, or a simulated one."""
    of_kind = {"lartpc": layout.raw, "stacks": layout.stacks, "towns": layout.towns, "streets": layout.streets}
    file = shard_of(wildcards).file
    return file or of_kind[datasets[wildcards.dataset].kind](wildcards.dataset, wildcards.split, wildcards.shard)


def parts_of(wildcards):
    """The other files that a conversion of stacks, images or meshes reads: those of a user's folder, and what is beside
    an image or a mesh."""
    dataset, file = datasets[wildcards.dataset], shard_of(wildcards).file
    if file is not None and (dataset.kind == "meshes" or is_meshes(file)):
        return [str(path) for path in files_of_meshes(file, dataset.products) if str(path) != file]
    if file is not None and (dataset.kind == "images" or is_images(file)):
        return [str(path) for path in files_of_images(file, dataset.products) if str(path) != file]
    if file is None or not (dataset.kind == "stacks" or Path(file).is_dir()):
        return []
    return [str(path) for path in files_of(file, dataset.products) if str(path) != file]


def conversion_of(wildcards):
    """What of that file is read, and how: nothing to say about a file of our own simulation."""
    dataset, shard = datasets[wildcards.dataset], shard_of(wildcards)
    said = None if dataset.source == "curated" else dataset.meshes
    meshes = {} if said is None else {"meshes": said.model_dump(mode="json")}
    if shard.file is None:
        return meshes
    options = meshes | {
        "kind": dataset.kind,
        "products": dataset.products,
        "namespace": dataset.namespace,
        "start": shard.start,
        "stop": shard.stop,
        "keep": dataset.keep(wildcards.split),
    }
    if dataset.tick_backward:
        options["tick_backward"] = True
    if dataset.spacing is not None:
        options["spacing"] = dataset.spacing
    return options if dataset.detector is None else options | {"detector": dataset.detector.model_dump(mode="json")}


def run_of(wildcards):
    return runs[wildcards.experiment, wildcards.stage, wildcards.variant]


def runs_of(wildcards):
    return [run for run in runs.values() if run.experiment.id == wildcards.experiment]


def resources_of(wildcards):
    return run_of(wildcards).stage.resources


def gpus_of(wildcards):
    """GPUs that the stage asks for; a baseline is fitted on the CPU."""
    return 0 if run_of(wildcards).is_baseline else resources_of(wildcards).gpu


def workers_of(wildcards):
    """Loader processes of a training; a stage that does not learn has none."""
    training = run_of(wildcards).stage.training
    return 0 if training is None else training.workers


def deploy_targets():
    """``{target: experiments}``: deploy_<experiment>, and for the models that experiments without a truth are given
    deploy_<task>, such as deploy_larmatch."""
    found = {}
    for experiment in filter(chain_files, experiments.values()):
        given = {stage.task for stage in experiment.stages.values() if stage.checkpoint and not experiment.truth}
        for name in {experiment.name} | given:
            found.setdefault(f"deploy_{name}", []).append(experiment.id)
    return found


def to_be_deployed():
    """The experiments whose chain this call is to deploy."""
    return [job.wildcards.experiment for job in workflow.dag.jobs if job.rule.name == "list_deployed"]


def say_deployed(write):
    """Print what became of the files of the experiments that were to be deployed in this call."""
    from weft.report.deployed import deployed, summary, write_deployed

    for name in to_be_deployed():
        found = deployed(experiments[name], dataset_of(name), layout)
        if write:
            write_deployed(found, Path(layout.deployed(name)))
        print(f"Deployed: {layout.deployed(name)}:", *summary(found), sep="\n  ")


def remember_given():
    """Leave what this call was given, so that `weft status` finds model and files of a deploy."""
    for name in to_be_deployed():
        if name not in judged:
            remember(Path(layout.given(name)), Given.of_call(config))


def dataset_of(experiment):
    return datasets[dataset_ids[experiment]]


def chain_of_run(wildcards):
    return chains[wildcards.experiment, wildcards.variant]


def without_running(experiment):
    """An experiment but for how its jobs run, which is no reason to list again what they made."""
    running = {"resources": True, "evaluation": {"batch_size"}}
    left_out = {
        name: running | {"points": {point: running for point in stage.points}}
        for name, stage in experiment.stages.items()
    }
    return experiment.model_dump(mode="json", exclude={"stages": left_out})


def chain_files(experiment):
    """What `deploy_chain` makes of an experiment's events, with each seed."""
    return [
        chain.prediction(split, shard)
        for (name, _), chain in chains.items()
        if name == experiment.id
        for split in chain.splits
        for shard in shards[chain.runs[0].dataset.id, split]
    ]
