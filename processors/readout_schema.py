"""What an instrument file may say about the readout: amplifiers, overscan, linearity, crosstalk, bleed trails."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from processors.schema_base import NumberField, Strict, When

SECTION: Final = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")
Corner = Literal["lower_left", "lower_right", "upper_left", "upper_right"]


def _section(text: str) -> str:
    if text.lstrip().startswith("["):
        match = SECTION.fullmatch(text.strip())
        if match is None:
            raise ValueError("expected a section [x1:x2,y1:y2] of whole numbers from 1, or a header card")
        x1, x2, y1, y2 = (int(number) for number in match.groups())
        if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
            raise ValueError("expected a section [x1:x2,y1:y2] with 1 <= x1 <= x2 and 1 <= y1 <= y2")
    return text


def _place(text: str) -> str:
    if text.lstrip().startswith("["):
        match = SECTION.fullmatch(text.strip())
        if match is None or not all(int(number) for number in match.groups()):
            raise ValueError("expected a section [x1:x2,y1:y2] of whole numbers from 1, or a header card")
    return text


Section = Annotated[str, AfterValidator(_section)]
Place = Annotated[str, AfterValidator(_place)]  # a section that may run backwards: its image is turned


def _as_method(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


class OverscanMethod(Strict):
    """How overscan pixels become a level.

    `median`, `clipped_mean` (within `sigma` σ of the median) of each row, column or of the section. `savgol`: row (or
    column) medians smoothed by a polynomial of `order` in a running `window`. `spline`: a least-squares spline of
    `order` through them, its knots `window` apart.
    """

    method: Literal["median", "clipped_mean", "savgol", "spline"] = "median"
    window: Annotated[int, Field(ge=3)] = 51
    order: Annotated[int, Field(ge=1, le=5)] = 3
    sigma: Annotated[float, Field(gt=1)] = 3.0

    @model_validator(mode="after")
    def _fits(self) -> OverscanMethod:
        if self.method == "savgol" and (self.window % 2 == 0 or self.window <= self.order):
            raise ValueError("expected an odd window wider than the order")
        return self


class Linearity(Strict):
    """True signal of a measured one, both ADU above overscan and bias.

    `polynomial`: [0, c1, c2, …], true = c1 s + c2 s² + …; or `table`: pairs [measured, true] from [0, 0] on, linear
    between them. No signal stays none, so that a bias is what it was.
    """

    polynomial: tuple[float, ...] | None = None
    table: tuple[tuple[float, float], ...] | None = None

    @model_validator(mode="after")
    def _one(self) -> Linearity:
        if (self.polynomial is None) == (self.table is None):
            raise ValueError("expected either polynomial or table")
        if self.polynomial is not None and (
            len(self.polynomial) < 2 or self.polynomial[0] != 0 or self.polynomial[1] <= 0
        ):
            raise ValueError("expected a polynomial [0, c1, …] of the signal with c1 > 0")
        if self.table is not None and (
            len(self.table) < 2
            or self.table[0] != (0.0, 0.0)
            or any(b[0] <= a[0] or b[1] <= a[1] for a, b in pairwise(self.table))
        ):
            raise ValueError("expected a table of at least two pairs [measured, true] from [0, 0] on, both rising")
        return self


class Crosstalk(Strict):
    """Of what `aggressor` reads, a part `coefficient` appears in what `victim` reads at the same time (both ADU)."""

    victim: str
    aggressor: str
    coefficient: Annotated[float, Field(gt=-0.1, lt=0.1)]
    detectors: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _apart(self) -> Crosstalk:
        if self.victim == self.aggressor:
            raise ValueError("expected two different amplifiers")
        return self


class Bleed(Strict):
    """A run of at least `run` saturated pixels in a column is a bleed trail: `grow` pixels more at its ends are bad.

    So are `sides` columns to its left and right.
    """

    run: Annotated[int, Field(ge=2)]
    grow: Annotated[int, Field(ge=0)]
    sides: Annotated[int, Field(ge=0)] = 1


class AmplifierSpec(Strict):
    """One readout amplifier: sections as `[x1:x2,y1:y2]` of the raw image, or the cards that hold them.

    Where an amplifier has an HDU of its own, `hdu` is its EXTNAME and `place` where its data section lies in the
    detector (backwards where it is turned); `data` and `overscan` are then sections of that HDU. `first_read` is the
    corner of the data section that is read out first; crosstalk needs it.
    """

    name: str
    when: When = Field(default_factory=dict)
    hdu: str | None = None
    place: Place | None = None
    data: Section
    overscan: Section | None = None
    overscan_per: Literal["row", "column", "frame"] = "row"
    overscan_method: Annotated[OverscanMethod, BeforeValidator(_as_method)] = OverscanMethod()
    gain_e_adu: NumberField
    read_noise_e: NumberField
    saturation_adu: NumberField
    linearity: Linearity | None = None
    first_read: Corner | None = None

    @model_validator(mode="after")
    def _together(self) -> AmplifierSpec:
        if self.overscan_per == "frame" and self.overscan_method.method in {"savgol", "spline"}:
            raise ValueError("expected overscan_method median or clipped_mean with overscan_per: frame")
        if (self.hdu is None) != (self.place is None):
            raise ValueError("expected both hdu and place, or neither")
        return self
