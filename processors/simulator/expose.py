"""One detector of one exposure: from photons to counts, with all that went into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.simulator.camera import READOUT_S, Camera, DetectorTruth
from processors.simulator.cosmics import Tracks, draw_tracks, track_image
from processors.simulator.options import NightOptions
from processors.simulator.patterns import Image, dome_light, pattern, response
from processors.simulator.plan import DITHER_ARCSEC, PlannedExposure, Target
from processors.simulator.projection import Array, TanWcs
from processors.simulator.readout import bleed, read_out
from processors.simulator.seeds import Stream, generator
from processors.simulator.sky import PIXEL_SCALE_ARCSEC, sky_rate, zero_point
from processors.simulator.stars import Field, Psf, add_stars, star_field

_BEYOND_EDGE_PX: Final = 40


@dataclass(frozen=True, slots=True)
class StarTruth:
    """Stars whose centre is on the detector: number in the field's catalogue, position, pixels from 1, electrons.

    `x` and `y` count trimmed pixels; the raw image has the same rows and `Geometry.margin` more columns on the left.
    `flux_e` is what the star would give on the optical axis, before the response of the pixels.
    """

    number: npt.NDArray[np.int64]
    ra: Array
    dec: Array
    x: Array
    y: Array
    magnitude: Array
    flux_e: Array
    saturated: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DetectorExposure:
    """A detector as read out, and the truth about it.

    Attributes
    ----------
    raw : array of uint16
        (rows, columns) of the raw image, ADU.
    bias_adu : tuple of float
        Level of each amplifier in this exposure, without the transient of the first rows.
    overscan_adu : tuple of float
        Mean level of each amplifier's overscan beside the data rows, read noise aside.
    light_e : float
        Even illumination (sky or dome) on the optical axis, e- per pixel.
    response_mean : float
        Mean response of the detector in the band (1 where there is no light).
    saturated_pixels : int
        Pixels that reached the full well.
    """

    raw: npt.NDArray[np.uint16]
    wcs: TanWcs | None
    bias_adu: tuple[float, float]
    overscan_adu: tuple[float, float]
    light_e: float
    response_mean: float
    dark_e: float
    saturated_pixels: int
    tracks: Tracks
    stars: StarTruth | None


def psf_of(planned: PlannedExposure) -> Psf:
    """The image of a star in an exposure."""
    conditions = planned.weather
    return Psf(conditions.fwhm_arcsec / PIXEL_SCALE_ARCSEC, conditions.e1, conditions.e2)


def light_e(options: NightOptions, planned: PlannedExposure) -> float:
    """Even illumination in electrons per pixel on the optical axis: the dome screen's, the sky's, or none."""
    if planned.obstype == "flat":
        return options.flat_level_e * (0.995 + 0.01 * ((planned.num * 0.618) % 1))  # the lamp is not quite steady
    if planned.band is None:
        return 0.0
    return planned.exptime_s * planned.weather.transparency * sky_rate(planned.band, planned.airmass)


def expose(
    options: NightOptions, camera: Camera, planned: PlannedExposure, detector: DetectorTruth
) -> DetectorExposure:
    """Simulate a detector in an exposure: equal arguments give equal pixels, in whatever order frames are made.

    Electrons are Poisson of (light + stars) times response plus dark current; cosmic rays are added, full wells bleed
    along the columns, counts are electrons over gain plus bias plus read noise, rounded and cut to 16 bits.
    """
    key = (options.seed, int(options.night), planned.expid, detector.number)
    geometry, maps = camera.geometry, pattern(camera, detector)
    shape = (geometry.height, geometry.width)
    wcs = None if planned.target is None else camera.wcs(detector, planned.ra, planned.dec)
    light, stars, mean = light_e(options, planned), None, 1.0
    electrons = np.zeros(shape, np.float32)
    if light:
        flat = response(camera, detector, planned.band or "g")
        mean = float(flat.mean(dtype=np.float64))
        electrons += np.float32(light)
        if planned.obstype == "flat":
            electrons *= dome_light(camera, detector)
        if wcs is not None:
            stars = _add_field(camera, options, planned, wcs, electrons)
        electrons *= flat
    if planned.exptime_s:
        electrons += maps.dark * np.float32(planned.exptime_s)
        electrons = generator(Stream.PHOTONS, *key).poisson(electrons).astype(np.float32)
    tracks = draw_tracks(generator(Stream.COSMICS, *key), shape, planned.exptime_s + READOUT_S / 2)
    electrons += track_image(tracks, shape)
    full = np.repeat(np.array([a.full_well_e for a in detector.amplifiers], np.float32), geometry.width // 2)
    saturated = bleed(electrons, full)
    if stars is not None:
        stars = _mark_saturated(stars, electrons, full)
    raw, levels, overscans = read_out(camera, detector, planned.hours, electrons, key)
    dark = detector.dark_e_s * planned.exptime_s
    return DetectorExposure(raw, wcs, levels, overscans, light, mean, dark, saturated, tracks, stars)


def stars_about(camera: Camera, options: NightOptions, target: Target) -> Field:
    """The catalogue of a target, as wide as any exposure of it sees."""
    reach = camera.radius * (1 if target.standard_mag is None else 2) * PIXEL_SCALE_ARCSEC / 3600
    radius = reach + (DITHER_ARCSEC + 30) / 3600
    return star_field(options.seed, target.field, target.ra, target.dec, round(radius, 6), target.standard_mag)


def _add_field(camera: Camera, options: NightOptions, planned: PlannedExposure, wcs: TanWcs, image: Image) -> StarTruth:
    """Add the target's stars to an image of electrons, and say which of them are centred on it."""
    target, band = planned.target, planned.band
    assert target is not None and band is not None
    field = stars_about(camera, options, target)
    x, y = wcs.to_pixels(field.ra, field.dec)
    x = x - camera.geometry.margin
    height, width = image.shape
    edge = _BEYOND_EDGE_PX
    near = np.flatnonzero((x > -edge) & (x < width + edge) & (y > -edge) & (y < height + edge))
    zero = zero_point(band, planned.airmass, planned.weather.transparency)
    magnitude = field.magnitude(band)[near]
    flux = planned.exptime_s * 10 ** (-0.4 * (magnitude - zero))
    add_stars(image, x[near] - 1, y[near] - 1, flux, psf_of(planned))
    on = (x[near] >= 0.5) & (x[near] < width + 0.5) & (y[near] >= 0.5) & (y[near] < height + 0.5)
    kept = near[on]
    unknown = np.zeros(kept.size, np.bool_)
    return StarTruth(kept, field.ra[kept], field.dec[kept], x[kept], y[kept], magnitude[on], flux[on], unknown)


def _mark_saturated(stars: StarTruth, electrons: Image, full: npt.NDArray[np.float32]) -> StarTruth:
    row = np.clip(np.rint(stars.y).astype(np.int64) - 1, 0, electrons.shape[0] - 1)
    column = np.clip(np.rint(stars.x).astype(np.int64) - 1, 0, electrons.shape[1] - 1)
    saturated = electrons[row, column] >= full[column]
    return StarTruth(
        stars.number, stars.ra, stars.dec, stars.x, stars.y, stars.magnitude, stars.flux_e, np.asarray(saturated)
    )
