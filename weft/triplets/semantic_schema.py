"""Which semantic class a particle has: rules over PDG code, process and shape, from ``config/labels/*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from weft.config.loading import closest, find, read_mapping, validate
from weft.config.strict import Strict
from weft.io.products import CLASSES
from weft.triplets.particle_kinds import has_process, leaders, sizes

LABELS = Path("config/labels")

#: Shapes of particles by name; ghosts are no particles.
_SHAPES = {name: code for code, name in CLASSES.items() if name != "ghost"}

Pdg = Annotated[int, Field(ge=1)]


class Rule(Strict):
    """Particles that have one of the PDG codes, processes and shapes; what is not said does not matter."""

    label: str = Field(description="the class, one of `classes`")
    pdg: tuple[Pdg, ...] | None = Field(None, min_length=1, description="PDG codes without sign, for both signs")
    process: tuple[str, ...] | None = Field(
        None, min_length=1, description="Geant4's names of creation processes, such as Decay"
    )
    shape: tuple[str, ...] | None = Field(None, min_length=1, description="shapes of charge: " + ", ".join(_SHAPES))

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if self.pdg is None and self.process is None and self.shape is None:
            raise ValueError(f"the rule of '{self.label}' has no condition; expected pdg, process or shape")
        for shape in self.shape or ():
            if shape not in _SHAPES:
                raise ValueError(f"unknown shape '{shape}'{closest(shape, list(_SHAPES))}; known: {', '.join(_SHAPES)}")
        return self


class SemanticSchema(Strict):
    """Semantic classes of space points; ghosts are none of them, that is for the larmatch score to say."""

    name: str = Field(min_length=1, description="for reports and provenance")
    of: Literal["particle", "leader"] = Field(
        "leader", description="who is asked: each particle itself, or the one that leads its group (its shower)"
    )
    classes: tuple[str, ...] = Field(min_length=1, max_length=100, description="names, numbered from 0")
    rules: tuple[Rule, ...] = Field(
        description="the first that fits names the class; where none does there is no label"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> SemanticSchema:
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise ValueError(f"class '{twice}' is there twice")
        for rule in self.rules:
            if rule.label not in self.classes:
                raise ValueError(
                    f"a rule names '{rule.label}'{closest(rule.label, list(self.classes))}, which is no class"
                )
        missing = [name for name in self.classes if name not in {rule.label for rule in self.rules}]
        if missing:
            raise ValueError(f"no rule leads to the class '{missing[0]}'")
        return self

    def classify(self, particles: np.ndarray, processes: Mapping[int, str] | None = None) -> np.ndarray:
        """int8 (p,): class of each of `particles`, −1 where no rule fits.

        Args:
            particles: rows of the product `particles`.
            processes: what its codes of processes mean (`store["particles"].schema.codes["process"]`); only needed
                where a rule asks for a process.
        """
        asked = particles[leaders(particles)] if self.of == "leader" else particles
        found = np.full(len(particles), -1, np.int8)
        for rule in reversed(self.rules):
            fits = np.ones(len(particles), bool)
            if rule.pdg is not None:
                fits &= np.isin(sizes(asked["pdg"]), rule.pdg)
            if rule.process is not None:
                fits &= has_process(asked["process"], rule.process, processes, f"labels '{self.name}'")
            if rule.shape is not None:
                fits &= np.isin(asked["shape"], [_SHAPES[shape] for shape in rule.shape])
            found[fits] = self.classes.index(rule.label)
        return found


#: What ``config/labels/particles.yaml`` says.
PARTICLES = SemanticSchema(
    name="particles",
    classes=("electron", "photon", "muon", "pion", "proton"),
    rules=(
        Rule(label="electron", pdg=(11,)),
        Rule(label="photon", pdg=(22,)),
        Rule(label="muon", pdg=(13,)),
        Rule(label="pion", pdg=(211, 321)),
        Rule(label="proton", pdg=(2212,)),
    ),
)


def load_schema(name: str | Path) -> SemanticSchema:
    """The schema of ``config/labels/<name>.yaml``, or of a path."""
    path = find("schema of labels", name, LABELS)
    return validate(SemanticSchema, read_mapping(path), str(path))
