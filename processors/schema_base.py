"""What all models of an instrument file share: strictness, and the words that several of them use."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator


class Strict(BaseModel):
    """A model that refuses unknown keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    return text


Regex = Annotated[str, AfterValidator(_regex)]
When = dict[str, Regex]  # card -> regular expression that its whole value must match, in any case


class Number(Strict):
    """A number from a header card, or a fixed value where the card is missing (or none is named)."""

    card: str | None = None
    value: float | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Number:
        if self.card is None and self.value is None:
            raise ValueError("expected card or value")
        return self


def _as_number(value: Any) -> Any:
    if isinstance(value, str):
        return {"card": value}
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


NumberField = Annotated[Number, BeforeValidator(_as_number)]
