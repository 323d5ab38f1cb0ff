"""What was measured on a reduced detector, for its header, for programs and for the metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from processors.card_text import Card

_NAN: Final = math.nan


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of one detector: NaN for what could not be measured, None for counts nobody asked for, with `reasons`.

    Attributes
    ----------
    sky_e, sky_sigma_e, sky_gradient_e : level and noise per pixel, and corner to corner difference of the sky, e-
    seeing_arcsec, fwhm_px, fwhm_scatter_px : median FWHM of the stars and their scatter
    ellipticity, angle_rad : 1 - b/a of the median star, and the direction of its long axis
    stars : that the seeing is from
    cosmics, cosmic_pixels : cosmic rays, and pixels they struck
    wcs_matched, wcs_rms_arcsec : catalogue stars that the solution in the product agrees with, and rms per axis
    wcs_offset_arcsec : how far the header's own solution was off
    zero_point, zero_point_error, zero_point_stars : mag of 1 e-/s, for the whole light of a star
    limiting_mag, sky_mag_arcsec2 : of a star 5 σ above the noise in an aperture of two FWHM; of the sky
    """

    detector: str
    sky_e: float = _NAN
    sky_sigma_e: float = _NAN
    sky_gradient_e: float = _NAN
    seeing_arcsec: float = _NAN
    fwhm_px: float = _NAN
    fwhm_scatter_px: float = _NAN
    ellipticity: float = _NAN
    angle_rad: float = _NAN
    stars: int | None = None
    cosmics: int | None = None
    cosmic_pixels: int | None = None
    wcs_matched: int | None = None
    wcs_rms_arcsec: float = _NAN
    wcs_offset_arcsec: float = _NAN
    zero_point: float = _NAN
    zero_point_error: float = _NAN
    zero_point_stars: int | None = None
    limiting_mag: float = _NAN
    sky_mag_arcsec2: float = _NAN
    reasons: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """All of it by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def numbers(self) -> dict[str, float | int]:
        """What is known: finite figures by name."""
        record = self.record()
        return {
            name: value for name, value in record.items() if isinstance(value, float | int) and math.isfinite(value)
        }

    def cards(self) -> Iterator[Card]:
        """Header cards of what is known."""
        known = self.numbers()
        for name, (keyword, comment) in _CARDS.items():
            if name in known:
                yield keyword, known[name], comment


FIGURES: Final = tuple(field.name for field in fields(Measures) if field.name not in ("detector", "reasons"))

_CARDS: Final = {
    "sky_e": ("NFSKY", "sky, e- per pixel"),
    "sky_sigma_e": ("NFSKYSIG", "noise of the sky, e- per pixel"),
    "sky_gradient_e": ("NFSKYGRD", "sky from corner to corner, e-"),
    "seeing_arcsec": ("NFSEEING", "median FWHM of stars, arcsec"),
    "fwhm_px": ("NFFWHM", "median FWHM of stars, pixels"),
    "fwhm_scatter_px": ("NFFWHMSC", "scatter of their FWHM, pixels"),
    "ellipticity": ("NFELLIP", "1 - b/a of the median star"),
    "stars": ("NFSTARS", "stars measured for it"),
    "cosmics": ("NFCOSMIC", "cosmic rays"),
    "cosmic_pixels": ("NFCOSPIX", "pixels struck by cosmic rays"),
    "wcs_matched": ("NFWCSN", "catalogue stars the solution agrees with"),
    "wcs_rms_arcsec": ("NFWCSRMS", "rms of the solution per axis, arcsec"),
    "wcs_offset_arcsec": ("NFWCSOFF", "error of the solution given, arcsec"),
    "zero_point": ("NFZPT", "mag of 1 e-/s"),
    "zero_point_error": ("NFZPTERR", "its standard error, mag"),
    "zero_point_stars": ("NFZPTN", "stars it is from"),
    "limiting_mag": ("NFLIMMAG", "5 sigma in an aperture of 2 FWHM, mag"),
    "sky_mag_arcsec2": ("NFSKYMAG", "sky brightness, mag per square arcsec"),
}
