"""What an instrument file may say about a slit spectrograph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from processors.errors import BadInstrument
from processors.schema_base import Strict, When
from processors.spectra.lamps import known_lamps
from processors.spectra.setup import SpectrographSetup


class SpectrographSpec(Strict):
    """A disperser and how it is binned: which frames are its (`when`), and the fields of `SpectrographSetup`."""

    when: When = Field(default_factory=dict)
    dispersion_axis: Literal["x", "y"]
    lamps: tuple[str, ...]
    dispersion_a_px: float | None = None
    dispersion_tolerance: float = 0.1
    blind_range_a_px: tuple[float, float] = (0.5, 8.0)
    centre_a: Annotated[float, Field(gt=0)] | None = None
    centre_tolerance_a: float = 500.0
    order: int = 3
    rms_limit_px: float = 0.3
    slit: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]] | None = None

    @model_validator(mode="after")
    def _possible(self) -> SpectrographSpec:
        if self.slit is not None and self.slit[0] >= self.slit[1]:
            raise ValueError(f"expected slit [first, end] with first < end, not {list(self.slit)}")
        try:
            known_lamps(self.setup().lamps)
        except BadInstrument as error:
            raise ValueError(str(error)) from error
        return self

    def setup(self) -> SpectrographSetup:
        """The setup that it describes (BadInstrument for impossible numbers)."""
        return SpectrographSetup(**{name: getattr(self, name) for name in type(self).model_fields if name != "when"})
