"""What an instrument file may say: strict models of the YAML described in docs/instruments.md."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# `flat` is a dome or lamp flat
Obstype = Literal["bias", "dark", "flat", "skyflat", "science", "standard", "arc", "focus", "test", "unknown"]
CheckName = Literal[
    "bad_values",
    "completeness",
    "exposure_type",
    "gain",
    "header_cards",
    "mean_level",
    "night",
    "noise",
    "overscan_level",
    "read_noise",
    "saturation",
]
SECTION: Final = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    return text


def _section(text: str) -> str:
    if text.lstrip().startswith("["):
        match = SECTION.fullmatch(text.strip())
        if match is None:
            raise ValueError("expected a section [x1:x2,y1:y2] of whole numbers from 1, or a header card")
        x1, x2, y1, y2 = (int(number) for number in match.groups())
        if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
            raise ValueError("expected a section [x1:x2,y1:y2] with 1 <= x1 <= x2 and 1 <= y1 <= y2")
    return text


def _range(value: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = value
    if low is not None and high is not None and low > high:
        raise ValueError("expected [lowest, highest]")
    return value


def _as_field(value: Any) -> Any:
    if isinstance(value, str):
        return {"cards": [value]}
    return {"cards": value} if isinstance(value, list) else value


def _as_number(value: Any) -> Any:
    if isinstance(value, str):
        return {"card": value}
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_names(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return tuple(str(number) for number in range(1, value + 1))
    return value


def _timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected an IANA time zone such as America/Santiago") from error
    return name


def _as_limits(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Regex = Annotated[str, AfterValidator(_regex)]
Section = Annotated[str, AfterValidator(_section)]
Range = Annotated[tuple[float | None, float | None], AfterValidator(_range)]  # [lowest, highest], null: open


class Strict(BaseModel):
    """A model that refuses unknown keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(Strict):
    """Where a piece of identity comes from: cards (the first that has a value, or all joined), else the file's name."""

    cards: tuple[str, ...] = ()
    join: str | None = None
    file_name: Regex | None = None
    pattern: Regex | None = None
    ignore: tuple[str, ...] = ()
    default: str | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Source:
        if not self.cards and self.file_name is None and self.default is None:
            raise ValueError("expected cards, file_name or default")
        return self


SourceField = Annotated[Source, BeforeValidator(_as_field)]


class TimeSource(Source):
    """Start of the exposure, UTC: `iso`, `mjd`, or a strptime format."""

    format: str = "iso"


class Number(Strict):
    """A number from a header card, or a fixed value where the card is missing (or none is named)."""

    card: str | None = None
    value: float | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Number:
        if self.card is None and self.value is None:
            raise ValueError("expected card or value")
        return self


NumberField = Annotated[Number, BeforeValidator(_as_number)]
When = dict[str, Regex]  # card -> regular expression that its whole value must match, in any case


class Recognise(Strict):
    """One way to recognise the instrument: every card, and the file's name, must match."""

    cards: When = {}
    file_name: Regex | None = None

    @model_validator(mode="after")
    def _something(self) -> Recognise:
        if not self.cards and self.file_name is None:
            raise ValueError("expected cards or file_name")
        return self


class ObstypeRule(Strict):
    """An obstype and what must hold for it; the first rule that holds wins."""

    obstype: Obstype
    when: When = {}
    exptime_s: Range | None = None


class Sequence(Strict):
    """Exposures that belong together."""

    id: SourceField
    num: SourceField
    total: SourceField


class Identity(Strict):
    """Which cards say what a frame is."""

    expid: SourceField
    time: Annotated[tuple[TimeSource, ...], Field(min_length=1)]
    exptime_s: SourceField
    object: SourceField = Source(default="")
    filter: SourceField = Source(default="")
    slit: SourceField = Source(default="")
    program: SourceField = Source(default="")
    readout: SourceField = Source(default="")
    night_card: str | None = None
    sequence: Sequence | None = None
    obstypes: tuple[ObstypeRule, ...]
    spectroscopy: When | None = None


class Detectors(Strict):
    """`mosaic`: one file holds all detectors, an HDU each; `single`: one file per detector.

    `expected` names the detectors of an exposure; a whole number N stands for the names 1 to N. `count` is a card that
    says how many of these, from the first, this exposure has (a camera that is read out in part).
    """

    layout: Literal["mosaic", "single"]
    id: SourceField
    expected: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_as_names)]
    count: str | None = None
    bad_sections: dict[str, tuple[Section, ...]] = {}


class AmplifierSpec(Strict):
    """One readout amplifier: sections as `[x1:x2,y1:y2]` of the raw image, or the cards that hold them."""

    name: str
    when: When = {}
    data: Section
    overscan: Section | None = None
    overscan_per: Literal["row", "frame"] = "row"
    gain_e_adu: NumberField
    read_noise_e: NumberField
    saturation_adu: NumberField


class Limit(Strict):
    """Ranges of a check from a date on, for some obstypes or for all."""

    since: dt.date = Field(alias="from")
    obstypes: tuple[Obstype, ...] | None = None
    warning: Range | None = None
    error: Range | None = None


class Site(Strict):
    """Where the telescope stands: a longitude (east positive), or a time zone such as `America/Santiago`."""

    longitude_deg: Annotated[float, Field(ge=-180, le=360)] | None = None
    timezone: Annotated[str, AfterValidator(_timezone)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Site:
        if (self.longitude_deg is None) == (self.timezone is None):
            raise ValueError("expected either longitude_deg or timezone")
        return self


class PixelScale(Strict):
    """Angle of an unbinned pixel and the cards that hold the binning."""

    arcsec: Annotated[float, Field(gt=0)]
    binning: tuple[str, str] | None = None


class InstrumentSpec(Strict):
    """A whole instrument file."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str = ""
    site: Site
    recognise: Annotated[tuple[Recognise, ...], Field(min_length=1)]
    identity: Identity
    detectors: Detectors
    amplifiers: Annotated[tuple[AmplifierSpec, ...], Field(min_length=1)]
    pixel_scale: PixelScale | None = None
    required_cards: tuple[str, ...] = ()
    checks: dict[CheckName, Annotated[tuple[Limit, ...], BeforeValidator(_as_limits)]] = {}
