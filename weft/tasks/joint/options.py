"""Options of the joint task: modules in order, each with the blocks of a stage of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from weft.config.strict import Strict

#: Random views of the whole event, which a module must not turn by itself: later modules read what it says of places.
VIEWS: Mapping[str, Any] = {"flip": False, "rotate": False, "shift": 0, "charge_jitter": 0.0}
ModuleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_TAKEN = {"truth", "prediction", "chain", "data", "all", "training", "modules"}
"""names that mean something else where modules are named"""


class ModuleOptions(Strict):
    """One module: a stage without a training of its own. ``model``, ``loss`` and ``data`` are keys of its task."""

    task: str = Field(description="what it does: a folder of weft/tasks")
    weight: float = Field(1.0, gt=0, description="factor of the terms of its loss")
    lr_multiplier: float = Field(1.0, gt=0, description="learning rate of its parameters over optimizer.lr")
    train_on: Literal["truth", "predictions"] = Field(
        "predictions",
        description="what it learns from: what earlier modules say with the weights of the moment, or true products "
        "instead",
    )
    needs: dict[str, tuple[str, ...]] = Field(
        {},
        description="{earlier module: products}; default: the last one before it that makes a product, else what the "
        "stage is fed",
    )
    model: dict[str, Any] = Field({}, description="the network; keys of its task")
    loss: dict[str, Any] = Field({}, description="what is minimised; keys of its task")
    data: dict[str, Any] = Field(
        {}, description="what the network sees; keys of its task, random views are off: the whole event is turned"
    )

    @model_validator(mode="after")
    def _resolved(self) -> ModuleOptions:
        """The options of the task, validated and filled in."""
        from weft.errors import WeftError
        from weft.tasks import build, load

        if self.task == "joint":
            raise ValueError("task: a joint training cannot be a module of another one")
        try:
            known = load(self.task).options_model.model_fields
            given = {"model": self.model, "loss": self.loss, "data": self._data()}
            task = build(self.task, given, f"task '{self.task}'")
        except WeftError as error:
            raise ValueError(str(error)) from None
        options = task.options.model_dump(mode="json")
        for section in ("model", "loss", "data"):
            # Frozen for whoever reads it; this is where it is made.
            object.__setattr__(self, section, options[section] if section in known else {})
        return self

    def _data(self) -> dict[str, Any]:
        """`data` with the random views off, which a task takes only where it has them."""
        from weft.tasks import load

        section = load(self.task).options_model.model_fields.get("data")
        if section is None:
            return self.data
        known = section.annotation.model_fields  # type: ignore[union-attr]
        off = {key: value for key, value in VIEWS.items() if key in known}
        if self.task == "grappa" and self.train_on == "predictions":
            off |= {"break_clusters": False}  # rows of its products would be pieces that nobody else knows
        for key, value in off.items():
            if self.data.get(key, value) != value:
                where = "give train_on: truth" if key == "break_clusters" else "the stage's data turn the whole event"
                raise ValueError(f"data.{key}: not of one module alone, {where}")
        overlay = self.data.get("overlay", {})
        if isinstance(overlay, Mapping) and overlay.get("kind", "none") != "none":
            raise ValueError("data.overlay: a module has the events that the others have; none of them is laid over")
        return off | self.data


class ModelOptions(Strict):
    """Which modules there are; each after those that it reads."""

    modules: dict[ModuleName, ModuleOptions] = Field(min_length=1, description="in the order in which they run")

    @model_validator(mode="after")
    def _wired(self) -> ModelOptions:
        from weft.errors import WeftError
        from weft.tasks.joint.wiring import Wiring

        for name in self.modules:
            if name in _TAKEN:
                raise ValueError(f"modules.{name}: this name is reserved")
        try:
            Wiring(self.modules)
        except WeftError as error:
            raise ValueError(str(error)) from None
        return self


class DataOptions(Strict):
    """How the whole event is varied in training, for all modules alike."""

    flip: bool = Field(True, description="mirror each axis at random")
    rotate: bool = Field(True, description="permute the axes at random")
    shift: int = Field(16, ge=0, description="move by up to so many voxels: another phase of the strided grid")
    charge_jitter: float = Field(0.05, ge=0, description="relative spread of a common factor on the charge")


class Options(Strict):
    """Several stages of the chain trained together; there is no baseline, those of the stages are in theirs."""

    model: ModelOptions
    data: DataOptions = DataOptions()
