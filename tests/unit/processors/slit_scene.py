"""Long-slit frames with a known truth: trace, dispersion, flux, sky."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.planes import Mask
from processors.spectra.line_list import lamp_lines
from processors.spectra.setup import SpectrographSetup

F8 = NDArray[np.float64]
ROWS, COLUMNS = 512, 160
READ_NOISE_E = 5.0
SKY_LINES = ((5577.339, 8000.0), (6300.304, 4000.0))
LAMPS = ("He", "Ar")


@dataclass
class Planes:
    """A reduced detector with wavelength along the rows."""

    sci: NDArray[Any]
    var: NDArray[Any]
    mask: NDArray[np.uint16]

    def turned(self) -> Planes:
        """The same with wavelength along the columns."""
        return Planes(self.sci.T.copy(), self.var.T.copy(), self.mask.T.copy())


@dataclass
class SlitScene:
    """What is on the slit, drawn from a seed; frames are made of it with noise of their own."""

    seed: int
    flux_e: float = 3000.0
    sky_e: float = 60.0
    fwhm_px: float = 4.0
    line_fwhm_px: float = 3.0
    shift_px: float = 0.0
    second: float = 0.0  # flux of another object 45 pixels away, in units of the first
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        draw = self.rng.uniform
        self.u = np.arange(ROWS) / (ROWS - 1) * 2 - 1
        sign = 1 if self.seed % 2 else -1
        self.dispersion_a_px = sign * float(draw(6.0, 7.5))
        self.centre_a = float(draw(5400, 5800))
        self.curve = draw(-0.03, 0.03), draw(-0.01, 0.01)
        middle, tilt, bend = draw(60, 90), draw(-4, 4), draw(-1.5, 1.5)
        self.trace = middle + tilt * self.u + bend * self.u**2
        self.slope = float(draw(-0.4, 0.4))

    @property
    def wavelength_a(self) -> F8:
        """Of the science frame's rows; the arc's lie `shift_px` lower."""
        return self._wavelength(self.u)

    def _wavelength(self, u: F8) -> F8:
        half = (ROWS - 1) / 2
        quadratic, cubic = self.curve
        return self.centre_a + self.dispersion_a_px * half * (u + quadratic * u**2 + cubic * u**3)

    @property
    def object_e(self) -> F8:
        """Object's electrons per row."""
        return self.flux_e * (1 + self.slope * self.u)

    @property
    def setup(self) -> SpectrographSetup:
        """Numbers that are a few per cent wrong, as an instrument file has them."""
        return SpectrographSetup(
            "y", LAMPS, self.dispersion_a_px * 1.04, dispersion_tolerance=0.1, centre_a=self.centre_a + 120
        )

    def lines(self, wavelength_a: F8, electrons: F8, shift_px: float = 0.0) -> F8:
        """Rows' light of emission lines."""
        fine = np.linspace(-1.2, 1.2, 20001)
        scale = self._wavelength(fine)
        rising = scale if self.dispersion_a_px > 0 else scale[::-1]
        places = np.interp(wavelength_a, rising, fine if self.dispersion_a_px > 0 else fine[::-1])
        rows = (places + 1) / 2 * (ROWS - 1) + shift_px
        sigma = self.line_fwhm_px / 2.3548
        away = (np.arange(ROWS)[:, None] - rows) / sigma
        return np.asarray((electrons * np.exp(-0.5 * away**2) / (sigma * np.sqrt(2 * np.pi))).sum(1))

    def science(self, cosmics: int = 0) -> Planes:
        """A science frame; cosmic rays fall onto the object."""
        wavelength, electrons = (np.array(column) for column in zip(*SKY_LINES, strict=True))
        sky = self.sky_e + self.lines(wavelength, electrons)
        column = np.arange(COLUMNS)
        light = sky[:, None] * (1 + 0.1 * (column / COLUMNS - 0.5))
        for offset, part in ((0.0, 1.0), (45.0, self.second)):
            light = light + part * self.object_e[:, None] * _gaussian(
                column - self.trace[:, None] - offset, self.fwhm_px
            )
        return self.frame(light, cosmics)

    def arc(self, wavelength_a: F8 | None = None, level_e: float = 4000.0) -> Planes:
        """A lamp, its lines as strong as listed within a factor of two; or other lines."""
        listed = lamp_lines(LAMPS)
        strength = listed.strength
        if wavelength_a is None:
            wavelength_a = listed.wavelength_a
        else:
            strength = self.rng.choice(strength, wavelength_a.size)
        electrons = level_e * strength / 200 * np.exp(self.rng.uniform(-0.7, 0.7, strength.size))
        spectrum = 30 + self.lines(wavelength_a, electrons, -self.shift_px)
        return self.frame(np.repeat(spectrum[:, None], COLUMNS, axis=1))

    def frame(self, light: F8, cosmics: int = 0) -> Planes:
        """Photons and read noise of a light distribution, e-."""
        sci = self.rng.poisson(light) + self.rng.normal(0, READ_NOISE_E, light.shape)
        rows = self.rng.integers(0, ROWS, cosmics)
        columns = np.rint(self.trace[rows] + self.rng.uniform(-4, 4, cosmics)).astype(int)
        sci[rows, columns] += self.rng.uniform(2000, 20000, cosmics)
        var = np.maximum(sci, 0) + READ_NOISE_E**2
        return Planes(sci.astype(np.float32), var.astype(np.float32), np.zeros(sci.shape, np.uint16))


def saturate(planes: Planes, level_e: float) -> Planes:
    """Cut off at a level, and mark."""
    full = planes.sci >= level_e
    planes.sci[full] = level_e
    planes.mask[full] |= np.uint16(Mask.SATURATED)
    return planes


def _gaussian(offset: F8, fwhm: float) -> F8:
    sigma = fwhm / 2.3548
    return np.asarray(np.exp(-0.5 * (offset / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))
