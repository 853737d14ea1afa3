"""Experiments, datasets, and where results lie."""

from weft.config.chain import CHAIN, Chain, chain_of, chains_of
from weft.config.dataset import (
    CuratedDataset,
    Dataset,
    FileDataset,
    Shard,
    SimulatedDataset,
    dataset_from,
    load_dataset,
)
from weft.config.experiment import Experiment, Resources, Stage, load_experiment
from weft.config.layout import Layout
from weft.config.loading import ConfigError
from weft.config.plan import BASELINE, Run, plan, run_of, runs_of

__all__ = [
    "BASELINE",
    "CHAIN",
    "Chain",
    "ConfigError",
    "CuratedDataset",
    "Dataset",
    "Experiment",
    "FileDataset",
    "Layout",
    "Resources",
    "Run",
    "Shard",
    "SimulatedDataset",
    "Stage",
    "chain_of",
    "chains_of",
    "dataset_from",
    "load_dataset",
    "load_experiment",
    "plan",
    "run_of",
    "runs_of",
]
