"""What all specs have in common."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Base of all specs: immutable, and no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
