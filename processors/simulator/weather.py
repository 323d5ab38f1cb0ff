"""What changes through a night: seeing, transparency, temperatures and the focus that follows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.simulator.sky import BANDS

BEST_FOCUS_UM: Final = 1550.0  # at 10 °C
FOCUS_UM_PER_DEG: Final = -28.0
FOCUS_ARCSEC_PER_UM: Final = 0.0042  # blur added in quadrature per micrometre out of focus


@dataclass(frozen=True, slots=True)
class Weather:
    """The conditions of one exposure; `fwhm_arcsec` is what the detector sees, `dimm_arcsec` the zenith at 500 nm."""

    dimm_arcsec: float
    fwhm_arcsec: float
    e1: float
    e2: float
    transparency: float
    outside_c: float
    mirror_c: float
    humidity: float
    pressure_hpa: float
    wind_m_s: float
    wind_deg: float
    focus_um: float
    best_focus_um: float


def dimm_series(rng: np.random.Generator, count: int) -> list[float]:
    """Zenith seeing of successive exposures: a first-order autoregression of its logarithm about 0.85 arcsec."""
    correlation, scatter = 0.85, 0.14
    value = rng.normal(0, scatter)
    series = []
    for _ in range(count):
        value = correlation * value + math.sqrt(1 - correlation**2) * rng.normal(0, scatter)
        series.append(float(0.85 * math.exp(value)))
    return series


def weather(rng: np.random.Generator, hours: float, dimm: float, airmass: float, band: str | None) -> Weather:
    """Conditions `hours` after local noon, looking through `airmass` in a band (None: a closed dome).

    Kolmogorov seeing grows as airmass^0.6 and falls as wavelength^-0.2 (Roddier 1981, *Progress in Optics* 19, 281);
    the distance from focus adds in quadrature. The operator refocuses now and then, so the focus lags the temperature.
    """
    outside = 14.0 - 4.5 * math.tanh((hours - 7) / 2.5) + rng.normal(0, 0.12)
    mirror = 13.2 - 3.0 * math.tanh((hours - 8.5) / 3.0) + rng.normal(0, 0.03)
    best = BEST_FOCUS_UM + FOCUS_UM_PER_DEG * (mirror - 10)
    focus = best + float(np.clip(rng.normal(0, 30), -70, 70))
    wavelength = BANDS[band].wavelength_nm if band else 500.0
    atmosphere = dimm * airmass**0.6 * (wavelength / 500) ** -0.2
    e1, e2 = rng.normal(0, 0.012, 2)
    return Weather(
        dimm_arcsec=round(dimm, 3),
        fwhm_arcsec=round(math.hypot(atmosphere, FOCUS_ARCSEC_PER_UM * (focus - best)), 4),
        e1=round(float(e1), 4),
        e2=round(float(e2), 4),
        transparency=round(float(np.clip(1 - abs(rng.normal(0, 0.012)), 0.9, 1.0)), 4),
        outside_c=round(outside, 2),
        mirror_c=round(mirror, 2),
        humidity=round(float(np.clip(28 + 1.4 * hours + rng.normal(0, 1.5), 5, 85)), 1),
        pressure_hpa=round(781.0 + 0.8 * math.sin(hours / 3.8) + rng.normal(0, 0.05), 2),
        wind_m_s=round(abs(4.0 + rng.normal(0, 1.5)), 1),
        wind_deg=round(float((20 + rng.normal(0, 15)) % 360), 0),
        focus_um=round(focus, 1),
        best_focus_um=round(best, 1),
    )
