"""A calibrated detector against a reference catalogue: its place on the sky, zero point and depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from processors.astrometry.fit import fit_solution
from processors.astrometry.header_wcs import read_wcs
from processors.astrometry.stars import stars_of
from processors.card_text import Card
from processors.cards import Header
from processors.catalogue.catalogue import Catalogue
from processors.errors import BadCatalogue, BadFrame, NoSolution
from processors.isr.signature import Calibrated
from processors.photometry.background import Background, measure_background
from processors.photometry.calibrate import calibrate
from processors.photometry.depth import measure_depth
from processors.photometry.growth import measure_growth, total_fluxes
from processors.photometry.sources import Sources, find_sources
from processors.reduction.measures import Measures

if TYPE_CHECKING:
    from astropy.wcs import WCS

_APERTURE: Final = 2.0  # diameter for the limiting magnitude, in FWHM


@dataclass(frozen=True, slots=True)
class Place:
    """Stars around a detector, the catalogue's band for its filter, and how far its solution may be off (arcsec)."""

    catalogue: Catalogue
    band: str
    search_arcsec: float


def place_detector(
    made: Calibrated,
    measures: Measures,
    scale_arcsec: float | None,
    exptime_s: float,
    cards: Sequence[Card],
    place: Place,
) -> tuple[Measures, tuple[Card, ...]]:
    """Measures with those that need a catalogue, and the cards of the solution: improved ones, or those given.

    Sources are found, the solution is checked and fitted (`astrometry.fit`), and the zero point is measured from the
    whole light of the stars (`photometry.calibrate`). What cannot be had is NaN, with its reason among the measures.
    """
    sky = measure_background(made.sci, made.mask)
    sources = find_sources(made.sci, made.var, made.mask, sky)
    try:
        given = read_wcs(Header.of({keyword: value for keyword, value, _ in cards}))
        if given is None:
            raise NoSolution("the header has no solution on the sky")
        found = fit_solution(
            stars_of(sources), made.sci.shape, place.catalogue, given, search_arcsec=place.search_arcsec
        )
    except (BadFrame, NoSolution) as error:
        return replace(measures, reasons=(*measures.reasons, str(error))), tuple(cards)
    was = found.given.offset_arcsec if found.given is not None and found.given.sure else (math.nan, math.nan)
    measures = replace(
        measures,
        wcs_matched=found.agreement.matched,
        wcs_rms_arcsec=found.agreement.rms_arcsec,
        wcs_offset_arcsec=math.hypot(*was),
    )
    wcs = given if found.written is None else found.written.wcs
    measures = _calibrated(made, measures, scale_arcsec, exptime_s, sky, sources, wcs, place)
    return measures, tuple(cards) if found.written is None else found.written.cards


def _calibrated(
    made: Calibrated,
    measures: Measures,
    scale_arcsec: float | None,
    exptime_s: float,
    sky: Background,
    sources: Sources,
    wcs: WCS,
    place: Place,
) -> Measures:
    growth = measure_growth(made.sci, made.var, made.mask, sky, sources)
    reasons = [f"zero point from Kron fluxes, some percent low: {growth.reason}"] if growth.number == 0 else []
    whole, share = None, math.nan
    if growth.number and math.isfinite(measures.fwhm_px):
        radius = _APERTURE / 2 * measures.fwhm_px
        share = 1 / growth.correction(radius)
        light = total_fluxes(made.sci, made.var, made.mask, sky, sources, growth, radius)
        whole = (light.flux_e, light.error_e)
    try:
        zero = calibrate(sources, wcs, place.catalogue, place.band, exptime_s, fluxes_e=whole)
    except BadCatalogue as error:
        return replace(measures, reasons=(*measures.reasons, str(error)))
    scale = math.nan if scale_arcsec is None else scale_arcsec
    depth = measure_depth(
        zero.value,
        exptime_s,
        measures.sky_e,
        measures.sky_sigma_e,
        scale,
        _APERTURE * measures.fwhm_px * scale,
        share=share,
    )
    reasons += [reason for reason in (zero.reason, depth.reason) if reason]
    return replace(
        measures,
        zero_point=zero.value,
        zero_point_error=zero.error,
        zero_point_stars=zero.number,
        limiting_mag=depth.limiting_mag,
        sky_mag_arcsec2=depth.sky_mag_arcsec2,
        reasons=(*measures.reasons, *reasons),
    )
