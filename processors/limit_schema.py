"""What an instrument file may say of the limits of checks."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from processors.schema_base import Strict

# `flat` is a dome or lamp flat
Obstype = Literal["bias", "dark", "flat", "skyflat", "science", "standard", "arc", "focus", "test", "unknown"]
CheckName = Literal[
    "amplifiers",
    "bad_values",
    "checksum",
    "completeness",
    "content",
    "crosstalk",
    "drift",
    "ellipticity",
    "exposure_type",
    "fluence",
    "fluence_gradient",
    "focus",
    "gain",
    "header_cards",
    "master_level",
    "master_pixels",
    "mean_level",
    "night",
    "noise",
    "overscan_level",
    "overscan_step",
    "pattern_noise",
    "pointing",
    "read_noise",
    "saturation",
    "seeing",
    "sky_gradient",
    "sky_level",
    "stars",
]


def _range(value: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = value
    if low is not None and high is not None and low > high:
        raise ValueError("expected [lowest, highest]")
    return value


Range = Annotated[tuple[float | None, float | None], AfterValidator(_range)]  # [lowest, highest], null: open


class Limit(Strict):
    """Ranges of a check from a date on, for some obstypes and filters or for all."""

    since: dt.date = Field(alias="from")
    obstypes: tuple[Obstype, ...] | None = None
    filters: tuple[str, ...] | None = None
    warning: Range | None = None
    error: Range | None = None
