"""The limits of a rate as they are written: for both directions, or for each of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from services.core.secret import Section
from services.housekeeping.limits.settings import DIRECTIONS, Positive, Seconds

Levels = tuple[float | None, float | None]  # warning, error


class DirectionSettings(Section):
    """The fastest change in one direction; a level that is not said is the one beside `rise` and `fall`."""

    warning: Positive | None = None
    error: Positive | None = None

    @model_validator(mode="after")
    def _fits(self) -> DirectionSettings:
        if not self.model_fields_set:
            raise ValueError("expected warning, error, or both; or off")
        return self


def _off_is_none(value: Any) -> Any:
    return None if value is False else value


Direction = Annotated[DirectionSettings | None, BeforeValidator(_off_is_none)]


class RateSettings(Section):
    """The fastest change allowed over a window: either way, or up and down apart."""

    warning: Positive | None = None
    error: Positive | None = None
    rise: Direction = None
    fall: Direction = None
    per: Literal["second", "minute", "hour"] = "minute"
    over_s: Seconds = 60.0
    resolution: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @property
    def directed(self) -> bool:
        """Whether a rise and a fall are conditions of their own."""
        return not self.model_fields_set.isdisjoint(DIRECTIONS)

    def levels(self, kind: str) -> Levels:
        """(warning, error) in the unit per `per`, of a `rate` (either way), a `rise` or a `fall`; None: not asked."""
        if (kind in DIRECTIONS) != self.directed:
            return None, None
        if kind == "rate":
            return self.warning, self.error
        own: DirectionSettings | None = getattr(self, kind)
        if own is None:
            return (None, None) if kind in self.model_fields_set else (self.warning, self.error)
        return self._level(own, "warning"), self._level(own, "error")

    def _level(self, own: DirectionSettings, level: str) -> float | None:
        limit: float | None = getattr(own if level in own.model_fields_set else self, level)
        return limit

    @model_validator(mode="after")
    def _fits(self) -> RateSettings:
        kinds = DIRECTIONS if self.directed else ("rate",)
        asked = {kind: self.levels(kind) for kind in kinds}
        if all(levels == (None, None) for levels in asked.values()):
            lost = " for rise, fall, or both" if self.directed else ""
            raise ValueError(f"expected warning, error, or both{lost}")
        for kind, (warning, error) in asked.items():
            if warning is not None and error is not None and error < warning:
                ours = f" of {kind}: {error:g} is below {warning:g}" if self.directed else ""
                raise ValueError(f"expected the error from the warning on{ours}")
        for level in ("warning", "error"):
            if getattr(self, level) is not None and self.directed and not self._used(level):
                raise ValueError(f"'{level}' is used by neither direction: rise and fall say their own, or are off")
        return self

    def _used(self, level: str) -> bool:
        own = (getattr(self, kind) for kind in DIRECTIONS if kind in self.model_fields_set)
        given = [one is None or level in one.model_fields_set for one in own]
        return not all(given) or len(given) < len(DIRECTIONS)
