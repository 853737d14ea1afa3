"""The kind of model that configuration is read into."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are errors, and what was read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
