"""Where results lie. The Snakefile and the command line name every file through these functions.

Arguments may be Snakemake wildcards (``"{split}"``), so one function serves both patterns and paths.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

TABLES = ("events", "objects", "curves")


@dataclass(frozen=True)
class Layout:
    """Paths below one results folder."""

    root: str = "results"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", os.path.normpath(os.path.expanduser(self.root)))

    def raw(self, dataset: str, split: str, shard: str) -> str:
        """Simulated events, ROOT."""
        return f"{self.root}/data/{dataset}/{split}/{shard}.root"

    def stacks(self, dataset: str, split: str, shard: str) -> str:
        """Simulated or curated stacks, a folder of OME-TIFF files."""
        return f"{self.root}/data/{dataset}/{split}/{shard}.stacks"

    def towns(self, dataset: str, split: str, shard: str) -> str:
        """Simulated tiles of towns, a folder of PLY and JPEG files."""
        return f"{self.root}/data/{dataset}/{split}/{shard}.towns"

    def streets(self, dataset: str, split: str, shard: str) -> str:
        """Simulated pictures of streets, a folder with images and masks."""
        return f"{self.root}/data/{dataset}/{split}/{shard}.streets"

    def candidates(self, dataset: str, split: str) -> str:
        """The segmentations that a curated split may be made of, as a table."""
        return f"{self.root}/data/{dataset}/{split}/review/candidates.csv"

    def sheets(self, dataset: str, split: str) -> str:
        """Folder of their contact sheets, beside the table."""
        return f"{self.root}/data/{dataset}/{split}/review/sheets"

    def data(self, dataset: str, split: str, shard: str) -> str:
        """Converted events, event store."""
        return f"{self.root}/data/{dataset}/{split}/{shard}.h5"

    def stage(self, experiment: str, stage: str, variant: str) -> str:
        return f"{self.root}/{experiment}/{stage}/{variant}"

    def model(self, experiment: str, stage: str, variant: str) -> str:
        """The weights that deploy uses."""
        return f"{self.stage(experiment, stage, variant)}/model.ckpt"

    def provenance(self, experiment: str, stage: str, variant: str) -> str:
        """How the model came about, readable without torch."""
        return f"{self.stage(experiment, stage, variant)}/model.json"

    def log(self, experiment: str, stage: str, variant: str) -> str:
        """Losses and metrics by step."""
        return f"{self.stage(experiment, stage, variant)}/log.csv"

    def work(self, experiment: str, stage: str, variant: str) -> str:
        """Folder of folders, one per hash of config and inputs: checkpoints to resume from, TensorBoard."""
        return f"{self.stage(experiment, stage, variant)}/work"

    def predictions(self, experiment: str, stage: str, variant: str, source: str, split: str, shard: str) -> str:
        """Predicted products, event store. ``source``: ``truth``, or the upstream variant that was read."""
        return f"{self.stage(experiment, stage, variant)}/predictions/{source}/{split}/{shard}.h5"

    def scores(self, experiment: str, stage: str, variant: str, source: str, table: str) -> str:
        """Score table, ``table`` one of :data:`TABLES`."""
        return f"{self.stage(experiment, stage, variant)}/scores/{source}/{table}.parquet"

    def report(self, experiment: str) -> str:
        return f"{self.root}/{experiment}/report.html"

    def deployed(self, experiment: str) -> str:
        """What the chain has made of each file, as a table."""
        return f"{self.root}/{experiment}/deployed.tsv"

    def given(self, experiment: str) -> str:
        """What the last deploy of the chain was given with its call."""
        return f"{self.root}/{experiment}/given.json"

    def job_log(self, rule: str, *wildcards: str) -> str:
        """What a job of the workflow said; `wildcards`: those of the rule, in its order."""
        return "/".join([self.root, "logs", rule, *wildcards]) + ".log"

    def index(self) -> str:
        return f"{self.root}/index.html"
