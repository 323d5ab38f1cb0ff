"""From the sources of an image to its zero point against a reference catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.catalogue.catalogue import Catalogue
from processors.errors import BadCatalogue
from processors.photometry.matching import match_sky
from processors.photometry.sources import Sources
from processors.photometry.stars import select_stars
from processors.photometry.zero_point import ZeroPoint, measure_zero_point, no_zero_point

if TYPE_CHECKING:
    from astropy.wcs import WCS

F8 = NDArray[np.float64]
_RADIUS_ARCSEC: Final = 1.5
_LEAST_SNR: Final = 20.0


def calibrate(
    sources: Sources,
    wcs: WCS,
    catalogue: Catalogue,
    band: str,
    exptime_s: float,
    *,
    fluxes_e: tuple[F8, F8] | None = None,
    colour: tuple[str, str] | None = None,
    colour_pivot: float = 0.0,
    radius_arcsec: float = _RADIUS_ARCSEC,
    chosen: NDArray[np.bool_] | None = None,
) -> ZeroPoint:
    """Zero point of an image: its stars and the catalogue's that are each other's nearest on the sky, compared.

    Without `fluxes_e` it holds for fluxes in Kron ellipses as in `Sources`, from which some percent of a star's light
    are missing; give whole fluxes (`total_fluxes`) for a zero point that holds for the whole light.

    Parameters
    ----------
    wcs : of the image
    band, colour : bands of the catalogue; the colour is the first minus the second, and a term is fitted for it
    fluxes_e : flux and error of every source, e-, in place of those of `sources`
    chosen : sources that count (bool); the stars among them by default

    Raises
    ------
    BadCatalogue
        It does not have these bands.
    """
    magnitude = _magnitudes(catalogue, band)
    colours = None if colour is None else _magnitudes(catalogue, colour[0]) - _magnitudes(catalogue, colour[1])
    if chosen is None:
        selection = select_stars(sources, _LEAST_SNR)
        if selection.number == 0:
            return no_zero_point(0, selection.reason)
        chosen = selection.chosen
    which = np.flatnonzero(chosen)
    ra, dec = _sky(wcs, sources.x[which], sources.y[which])
    pairs = match_sky(ra, dec, catalogue.ra_deg, catalogue.dec_deg, radius_arcsec)
    flux, error = fluxes_e or (sources.flux_e, sources.flux_error_e)
    stars = which[pairs.first]
    found = measure_zero_point(
        flux[stars],
        error[stars],
        exptime_s,
        magnitude[pairs.second],
        colour=None if colours is None else colours[pairs.second],
        colour_pivot=colour_pivot,
        least_snr=_LEAST_SNR,
    )
    if found.number or stars.size:
        return found
    return replace(found, reason=f"none of {which.size} stars is within {radius_arcsec:g} arcsec of the catalogue's")


def _magnitudes(catalogue: Catalogue, band: str) -> F8:
    if band not in catalogue.magnitudes:
        known = ", ".join(catalogue.magnitudes) or "none"
        raise BadCatalogue(f"the catalogue has no magnitudes in band {band}; bands whose columns are known: {known}")
    return catalogue.magnitudes[band]


def _sky(wcs: Any, x: F8, y: F8) -> tuple[F8, F8]:
    """RA and Dec in degrees of pixels from 0."""
    ra, dec = wcs.all_pix2world(x, y, 0) if x.size else (np.empty(0), np.empty(0))
    return np.asarray(ra, np.float64), np.asarray(dec, np.float64)
