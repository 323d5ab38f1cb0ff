"""The headers of a simulated frame, in the manner of DECam's."""

from __future__ import annotations

import datetime as dt
import math

from processors.card_text import Card
from processors.simulator import site
from processors.simulator.camera import OVERSCAN, READOUT_S, Camera, DetectorTruth
from processors.simulator.options import NightOptions
from processors.simulator.plan import PlannedExposure
from processors.simulator.projection import TanWcs
from processors.simulator.sky import BANDS, PIXEL_SCALE_ARCSEC

# nightferry obstype -> what the camera's software calls it
CAMERA_OBSTYPES = {
    "bias": "zero",
    "dark": "dark",
    "flat": "dome flat",
    "standard": "standard",
    "science": "object",
}


def primary_cards(options: NightOptions, camera: Camera, planned: PlannedExposure) -> list[Card]:
    """Cards that describe the exposure: identity, pointing, telescope, weather, controller."""
    return [
        *_identity(options, planned),
        *_times(planned),
        *_pointing(planned),
        *_telescope(planned),
        *_weather(planned),
        *_controller(options, camera, planned),
    ]


def detector_cards(camera: Camera, detector: DetectorTruth, planned: PlannedExposure, wcs: TanWcs | None) -> list[Card]:
    """Cards of one detector: sections, gains, and the solution on the sky when the dome is open."""
    geometry = camera.geometry
    data = f"[{geometry.margin + 1}:{geometry.margin + geometry.width},1:{geometry.height}]"
    size = f"[1:{geometry.width},1:{geometry.height}]"
    temperature = ccd_temperature_c(planned.hours, detector.number)
    cards: list[Card] = [
        ("CCDNUM", detector.number, "detector number"),
        ("DETPOS", detector.name, "detector position in the focal plane"),
        ("DETECTOR", f"SIM-{camera.seed % 1000:03d}-{detector.number:02d}", "detector serial name"),
        ("CCDSUM", "1 1", "binning"),
        ("DETSIZE", size, "detector size"),
        ("DATASEC", data, "light-sensitive pixels"),
        ("TRIMSEC", data, "pixels to keep"),
        ("CCDSEC", size, "detector pixels"),
        ("OVERSCNX", OVERSCAN, "overscan columns per amplifier"),
        ("OVERSCNY", OVERSCAN, "overscan rows"),
        ("CCDTEMP", temperature, "[deg C] detector temperature"),
    ]
    for index, amplifier in enumerate(detector.amplifiers):
        letter = amplifier.name
        cards += [(f"{key}{letter}", text, f"amplifier {letter}") for key, text in geometry.sections(index).items()]
        cards += [
            (f"GAIN{letter}", amplifier.gain_e_adu, f"[e-/adu] gain, amplifier {letter}"),
            (f"RDNOISE{letter}", amplifier.read_noise_e, f"[e-] read noise, amplifier {letter}"),
            (f"SATURAT{letter}", amplifier.saturation_adu, f"[adu] saturation, amplifier {letter}"),
        ]
    return cards if wcs is None else [*cards, *_wcs(wcs)]


def ccd_temperature_c(hours: float, detector: int) -> float:
    """Temperature of a detector in deg C, `hours` after local noon; the controller holds it to some hundredths."""
    return round(-100.0 + 0.12 * detector % 0.7 + 0.06 * math.sin(2 * math.pi * hours / 7.3 + detector), 3)


def iso(when: dt.datetime) -> str:
    """A moment as FITS writes it: UTC to the millisecond, no zone."""
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds")


def sexagesimal(degrees: float, per_unit: float, signed: bool) -> str:
    """Degrees as hh:mm:ss.ss (`per_unit` 15) or +dd:mm:ss.ss (`per_unit` 1)."""
    hundredths = round(abs(degrees) / per_unit * 360_000)
    minutes, rest = divmod(hundredths, 6000)
    sign = ("-" if degrees < 0 else "+") if signed else ""
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{rest / 100:05.2f}"


def _identity(options: NightOptions, planned: PlannedExposure) -> list[Card]:
    band = "no filter" if planned.band is None else BANDS[planned.band].card
    return [
        ("OBJECT", planned.object, "name of the object"),
        ("OBSTYPE", CAMERA_OBSTYPES[planned.obstype], "kind of exposure"),
        ("EXPNUM", planned.expid, "exposure number"),
        ("NIGHT", options.night, "local date at the evening's noon"),
        ("INSTRUME", "simcam", "simulated camera"),
        ("TELESCOP", "nightferry simulator 4.0m", "telescope"),
        ("OBSERVAT", "nightferry", "observatory"),
        ("OBSERVER", "J. Ferry", "observer"),
        ("OPERATOR", "N. Pilot", "telescope operator"),
        ("PROPOSER", "Ferry", "principal investigator"),
        ("PROPID", "2026A-0001", "proposal"),
        ("PROGRAM", "Simulated survey of the night", "program"),
        ("FILTER", band, "filter"),
        ("FILTPOS", -1 if planned.band is None else list(BANDS).index(planned.band) + 1, "filter position"),
        ("EXPTIME", planned.exptime_s, "[s] exposure time"),
        ("EXPREQ", planned.exptime_s, "[s] exposure time requested"),
        ("DARKTIME", round(planned.exptime_s + 1.15, 3), "[s] time since the last clear"),
        ("SEQID", planned.sequence, "sequence"),
        ("SEQNUM", planned.num, "number in the sequence"),
        ("SEQTOT", planned.total, "exposures in the sequence"),
        ("NDETS", options.detectors, "detectors of the camera"),
        ("OBSID", f"sim{planned.start:%Y%m%dt%H%M%S}", "unique name of the exposure"),
        ("PROCTYPE", "RAW", "state of processing"),
        ("PRODTYPE", "image", "kind of product"),
    ]


def _times(planned: PlannedExposure) -> list[Card]:
    lst = site.sidereal_deg(planned.start)
    return [
        ("DATE-OBS", iso(planned.start), "start of exposure, UTC"),
        ("TIME-OBS", iso(planned.start)[11:], "start of exposure, UTC"),
        ("MJD-OBS", round(site.mjd(planned.start), 8), "start of exposure, UTC"),
        ("MJD-END", round(site.mjd(planned.start) + planned.exptime_s / 86400, 8), "end of exposure, UTC"),
        ("TIMESYS", "UTC", "time scale"),
        ("DATE", iso(planned.end)[:19], "when the file was written, UTC"),
        ("ST", sexagesimal(lst, 15, False), "local sidereal time at start"),
        ("OPENSHUT", iso(planned.start), "shutter opened, UTC"),
        ("SHUTOK", True, "shutter reported success"),
    ]


def _pointing(planned: PlannedExposure) -> list[Card]:
    altitude = site.altitude_deg(planned.ra, planned.dec, planned.middle)
    azimuth = site.azimuth_deg(planned.ra, planned.dec, planned.middle)
    hour_angle = (site.sidereal_deg(planned.middle) - planned.ra + 180) % 360 - 180
    ra0, dec0 = (planned.target.ra, planned.target.dec) if planned.target else (planned.ra, planned.dec)
    return [
        ("RADESYS", "ICRS", "celestial frame"),
        ("EQUINOX", 2000.0, "equinox"),
        ("RA", sexagesimal(planned.ra, 15, False), "[h:m:s] right ascension"),
        ("DEC", sexagesimal(planned.dec, 1, True), "[d:m:s] declination"),
        ("TELRA", planned.ra, "[deg] right ascension of the optical axis"),
        ("TELDEC", planned.dec, "[deg] declination of the optical axis"),
        ("TARGRA", ra0, "[deg] right ascension of the target"),
        ("TARGDEC", dec0, "[deg] declination of the target"),
        ("RAOFFSET", planned.offset[0], "[arcsec] dither, east"),
        ("DECOFFSE", planned.offset[1], "[arcsec] dither, north"),
        ("HA", sexagesimal(hour_angle, 15, True), "[h:m:s] hour angle, middle of exposure"),
        ("AZ", round(azimuth, 4), "[deg] azimuth"),
        ("ALT", round(altitude, 4), "[deg] altitude"),
        ("ZD", round(90 - altitude, 4), "[deg] zenith distance"),
        ("AIRMASS", planned.airmass, "airmass, middle of exposure"),
        ("ROTATOR", 0.0, "[deg] rotator angle"),
    ]


def _telescope(planned: PlannedExposure) -> list[Card]:
    now, closed = planned.weather, planned.target is None
    return [
        ("TELSTAT", "Stow" if closed else "Track", "telescope"),
        ("DOMESTAT", "closed" if closed else "open", "dome"),
        ("DOMELAMP", planned.obstype == "flat", "dome flat lamp"),
        ("DOMEAZ", round(site.azimuth_deg(planned.ra, planned.dec, planned.middle), 2), "[deg] dome azimuth"),
        ("GUIDER", "off" if closed else "on", "guider"),
        ("TELFOCUS", now.focus_um, "[um] focus"),
        ("FOCUSBST", now.best_focus_um, "[um] best focus, predicted"),
        ("DIMMSEE", now.dimm_arcsec, "[arcsec] seeing monitor, zenith, 500 nm"),
        ("SITELAT", site.LATITUDE_DEG, "[deg] latitude"),
        ("SITELONG", site.LONGITUDE_DEG, "[deg] longitude, east positive"),
        ("SITEELEV", site.ALTITUDE_M, "[m] altitude"),
        ("OBS-LAT", sexagesimal(site.LATITUDE_DEG, 1, True), "[d:m:s] latitude"),
        ("OBS-LONG", sexagesimal(site.LONGITUDE_DEG, 1, True), "[d:m:s] longitude"),
        ("SHUTTIME", 0.61, "[s] shutter travel"),
    ]


def _weather(planned: PlannedExposure) -> list[Card]:
    now = planned.weather
    return [
        ("OUTTEMP", now.outside_c, "[deg C] outside"),
        ("MIRTEMP", now.mirror_c, "[deg C] primary mirror"),
        ("DOMETEMP", round((now.outside_c + now.mirror_c) / 2, 2), "[deg C] dome"),
        ("UPTRTEMP", round(now.outside_c + 0.3, 2), "[deg C] upper truss"),
        ("LOWTRTEM", round(now.outside_c + 0.6, 2), "[deg C] lower truss"),
        ("HUMIDITY", now.humidity, "[%] outside"),
        ("PRESSURE", now.pressure_hpa, "[hPa] outside"),
        ("WINDSPD", now.wind_m_s, "[m/s] wind"),
        ("WINDDIR", now.wind_deg, "[deg] wind, from, north through east"),
        ("DEWPOINT", round(now.outside_c - (100 - now.humidity) / 5, 2), "[deg C] dew point"),
    ]


def _controller(options: NightOptions, camera: Camera, planned: PlannedExposure) -> list[Card]:
    rows, columns = camera.geometry.raw_shape
    cards: list[Card] = [
        ("PIXSCAL1", PIXEL_SCALE_ARCSEC, "[arcsec/pixel] x"),
        ("PIXSCAL2", PIXEL_SCALE_ARCSEC, "[arcsec/pixel] y"),
        ("CCDBIN1", 1, "binning, x"),
        ("CCDBIN2", 1, "binning, y"),
        ("READMODE", "normal", "readout mode"),
        ("PIXREAD", rows * columns // 2, "pixels per amplifier"),
        ("RDTIME", READOUT_S, "[s] readout time"),
        ("NAMPS", 2 * options.detectors, "amplifiers"),
        ("CONTROLR", "SimController", "detector controller"),
        ("CONSWV", "simctl 4.2", "controller software"),
        ("ARCHFILE", "simcam-normal-2025-11.acf", "clocks and voltages"),
        ("CRYOPRES", round(2.1e-7 + 1e-8 * math.sin(planned.hours), 10), "[torr] cryostat pressure"),
        ("CRYOTEMP", round(-182.4 + 0.2 * math.sin(planned.hours / 3), 2), "[deg C] cold plate"),
        ("HVBIAS", 40.0, "[V] substrate bias"),
        ("LINCYCLE", 60.0, "[Hz] mains"),
    ]
    volts = ((f"VSUB{number:02d}", round(40 + 0.01 * (number % 5), 2)) for number in range(1, 13))
    return [*cards, *((keyword, volt, "[V] substrate monitor") for keyword, volt in volts)]


def _wcs(wcs: TanWcs) -> list[Card]:
    return [
        ("WCSAXES", 2, "WCS dimensions"),
        ("CTYPE1", "RA---TAN", "gnomonic projection"),
        ("CTYPE2", "DEC--TAN", "gnomonic projection"),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", wcs.crval[0], "[deg] reference point"),
        ("CRVAL2", wcs.crval[1], "[deg] reference point"),
        ("CRPIX1", wcs.crpix[0], "[pixel] reference point, raw image"),
        ("CRPIX2", wcs.crpix[1], "[pixel] reference point, raw image"),
        ("CD1_1", wcs.cd[0], "[deg/pixel]"),
        ("CD1_2", wcs.cd[1], "[deg/pixel]"),
        ("CD2_1", wcs.cd[2], "[deg/pixel]"),
        ("CD2_2", wcs.cd[3], "[deg/pixel]"),
    ]
