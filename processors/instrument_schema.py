"""What an instrument file may say: strict models of the YAML described in docs/instruments.md."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from processors.limit_schema import CheckName, Limit, Obstype, Range
from processors.readout_schema import AmplifierSpec, Bleed, Crosstalk, Section
from processors.schema_base import Regex, Strict, When
from processors.spectrograph_schema import SpectrographSpec

__all__ = [
    "AmplifierSpec",
    "CheckName",
    "Identity",
    "InstrumentSpec",
    "Limit",
    "Obstype",
    "ScaledSource",
    "Site",
    "Source",
    "TimeSource",
    "When",
]


def _as_limits(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _as_field(value: Any) -> Any:
    if isinstance(value, str):
        return {"cards": [value]}
    return {"cards": value} if isinstance(value, list) else value


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


class ScaledSource(Source):
    """A number with its scale: 0.001 for an exposure time in milliseconds."""

    scale: Annotated[float, Field(gt=0)] = 1.0


class Recognise(Strict):
    """One way to recognise the instrument: every card, and the file's name, must match."""

    cards: When = Field(default_factory=dict)
    file_name: Regex | None = None

    @model_validator(mode="after")
    def _something(self) -> Recognise:
        if not self.cards and self.file_name is None:
            raise ValueError("expected cards or file_name")
        return self


class ObstypeRule(Strict):
    """An obstype and what must hold for it; the first rule that holds wins."""

    obstype: Obstype
    when: When = Field(default_factory=dict)
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
    exptime_s: Annotated[ScaledSource, BeforeValidator(_as_field)]
    object: SourceField = Source(default="")
    filter: SourceField = Source(default="")
    slit: SourceField = Source(default="")
    program: SourceField = Source(default="")
    readout: SourceField = Source(default="")
    temperature_c: SourceField | None = None
    night_card: str | None = None
    sequence: Sequence | None = None
    obstypes: tuple[ObstypeRule, ...]
    spectroscopy: When | None = None


class Detectors(Strict):
    """`mosaic`: one file holds all detectors, an HDU each; `single`: one file per detector.

    `expected` names the detectors of an exposure; a whole number N stands for the names 1 to N. `count` is a card that
    says how many of these, from the first, this exposure has (a camera that is read out in part). `bleed` says from
    when on a run of saturated pixels is a bleed trail.
    """

    layout: Literal["mosaic", "single"]
    id: SourceField
    expected: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_as_names)]
    count: str | None = None
    bad_sections: dict[str, tuple[Section, ...]] = Field(default_factory=dict)
    bleed: Bleed | None = None


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
    """A whole instrument file. `needs_dark`: a science frame reduced without a dark is flagged NODARK."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str = ""
    site: Site
    recognise: Annotated[tuple[Recognise, ...], Field(min_length=1)]
    identity: Identity
    detectors: Detectors
    amplifiers: Annotated[tuple[AmplifierSpec, ...], Field(min_length=1)]
    crosstalk: tuple[Crosstalk, ...] = ()
    needs_dark: bool = False
    spectrographs: tuple[SpectrographSpec, ...] = ()
    pixel_scale: PixelScale | None = None
    required_cards: tuple[str, ...] = ()
    checks: dict[CheckName, Annotated[tuple[Limit, ...], BeforeValidator(_as_limits)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> InstrumentSpec:
        for name in {name for entry in self.crosstalk for name in (entry.victim, entry.aggressor)}:
            named = [amplifier for amplifier in self.amplifiers if amplifier.name == name]
            if not named:
                raise ValueError(f"expected an amplifier of this file in crosstalk, not {name!r}")
            if any(amplifier.first_read is None for amplifier in named):
                raise ValueError(f"expected first_read of amplifier {name}, which has crosstalk")
        own = [amplifier.hdu is not None for amplifier in self.amplifiers]
        if any(own) and (self.detectors.layout == "mosaic" or not all(own)):
            raise ValueError("expected layout single, and an hdu for every amplifier, where one has an hdu")
        return self
