"""What may stand below a parameter in the limits file, below `defaults`, and in a dated entry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from services.core.secret import Section
from services.housekeeping.limits.ratesettings import RateSettings
from services.housekeeping.limits.settings import (
    Commanded,
    Date,
    EnvelopeSettings,
    Hysteresis,
    PersistSettings,
    Range,
    SecondsOrOff,
    SeveritySettings,
    WhenSettings,
    Words,
    number_of,
)


def _off_is_none(value: Any) -> Any:
    return None if value is False else value


class RuleSettings(Section):
    """Every key is optional: what is not said here is taken from the level above."""

    unit: Annotated[str, Field(min_length=1)] | None = None
    mode: Literal["absolute", "relative", "identity"] = "absolute"
    commanded: Commanded | None = None
    warning: Range | None = None
    performance: Range | None = None
    error: Range | None = None
    safe: Range | None = None
    equal: Words | None = None
    severity: SeveritySettings = SeveritySettings()
    persist: PersistSettings = PersistSettings(samples=3)
    hysteresis: Hysteresis = (0.0, 0.05)
    resolve_after_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 60.0
    stale_s: SecondsOrOff = 600.0
    stuck_s: SecondsOrOff = None
    nan: PersistSettings | None = PersistSettings(samples=5)
    rails: tuple[Annotated[float, PlainValidator(number_of)], ...] = ()
    converter: Range | None = None
    rate: RateSettings | None = None
    when: WhenSettings | None = None
    envelope: EnvelopeSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _off(cls, data: Any) -> Any:
        """`off` takes away what the level above has given."""
        if not isinstance(data, dict):
            return data
        offable = ("nan", "rate", "when", "envelope")
        return {key: _off_is_none(value) if key in offable else value for key, value in data.items()}

    @model_validator(mode="after")
    def _one_word(self) -> RuleSettings:
        for ours, euclid in (("warning", "performance"), ("error", "safe")):
            if {ours, euclid} <= self.model_fields_set:
                raise ValueError(f"'{ours}' and '{euclid}' are two words for one range: expected one of them")
        return self

    def said(self) -> dict[str, Any]:
        """What is written here, and only that, with Euclid's words turned into ours."""
        words = {"performance": "warning", "safe": "error"}
        keys = self.model_fields_set & set(RuleSettings.model_fields)
        return {words.get(key, key): getattr(self, key) for key in keys}


class DatedSettings(RuleSettings):
    """What holds from a date on, until the next entry's date."""

    from_: Date = Field(alias="from")


class ParameterSettings(RuleSettings):
    """The rule of a parameter, or of all whose names fit a pattern."""

    dated: tuple[DatedSettings, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> ParameterSettings:
        dates = [entry.from_ for entry in self.dated]
        if dates != sorted(set(dates)):
            raise ValueError("expected the entries of 'dated' in the order of their dates, each date once")
        return self


class SourceSettings(Section):
    """Limits of the parameters of one source."""

    defaults: RuleSettings = RuleSettings()
    commanded: dict[str, Annotated[float, PlainValidator(number_of)]] = Field(default_factory=dict)
    silent_s: SecondsOrOff = None
    parameters: Annotated[dict[str, ParameterSettings], Field(min_length=1)]


class LimitsFile(Section):
    """A limits file."""

    defaults: RuleSettings = RuleSettings()
    sources: Annotated[dict[str, SourceSettings], Field(min_length=1)]
