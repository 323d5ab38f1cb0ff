"""The truth beside a simulated night: all that went into it, for tests to ask back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.simulator import cosmics, patterns, plan, readout, stars
from processors.simulator.camera import Camera, DetectorTruth
from processors.simulator.expose import psf_of
from processors.simulator.faults import record_of
from processors.simulator.options import NightOptions
from processors.simulator.plan import PlannedExposure
from processors.simulator.render import Rows
from processors.simulator.sky import BANDS, PIXEL_SCALE_ARCSEC

VERSION: Final = 1
STAR_COLUMNS: Final = np.dtype(
    [
        ("expid", "i8"),
        ("detector", "i2"),
        ("star", "i4"),
        *((name, "f8") for name in ("ra", "dec", "x", "y", "magnitude", "flux_e")),
        ("saturated", "?"),
    ]
)
COSMIC_COLUMNS: Final = np.dtype(
    [
        ("expid", "i8"),
        ("detector", "i2"),
        *((name, "f8") for name in ("x", "y", "length", "angle_deg", "electrons")),
    ]
)


def exposure_truth(planned: PlannedExposure) -> dict[str, Any]:
    """What holds for all detectors of an exposure."""
    psf = psf_of(planned)
    return {
        "airmass": planned.airmass,
        "ra": planned.ra,
        "dec": planned.dec,
        "offset_arcsec": list(planned.offset),
        "field": None if planned.target is None else planned.target.field,
        "psf": {"kind": "moffat", "beta": stars.MOFFAT_BETA, "fwhm_px": psf.fwhm_px, "e1": psf.e1, "e2": psf.e2},
        "weather": asdict(planned.weather),
        "faults": [record_of(fault) for fault in planned.faults],
    }


def night_truth(
    options: NightOptions, camera: Camera, frames: Sequence[dict[str, Any]], faults: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The whole document: options, camera, constants of the model, one entry per file, and one per fault."""
    return {
        "version": VERSION,
        "options": asdict(options),
        "model": {
            "pixel_scale_arcsec": PIXEL_SCALE_ARCSEC,
            "row_noise_adu": readout.ROW_NOISE_ADU,
            "bias_jitter_adu": readout.JITTER_ADU,
            "vignetting": list(patterns.VIGNETTING),
            "ring_amplitude": patterns.RING_AMPLITUDE,
            "prnu_rms": {name: patterns.PRNU_RMS * band.prnu for name, band in BANDS.items()},
            "dome_gradient": patterns.DOME_GRADIENT,
            "cosmic_rays_per_cm2_minute": cosmics.PER_CM2_MINUTE,
            "standard_r_mag": plan.STANDARD_R_MAG,
            "star_limits_r_mag": [stars.BRIGHTEST, stars.FAINTEST],
        },
        "bands": {name: asdict(band) for name, band in BANDS.items()},
        "camera": [_detector(camera, detector) for detector in camera.detectors],
        "tables": "truth_stars.fits",
        "frames": list(frames),
        "faults": list(faults),
    }


def write_truth(
    directory: Path, document: dict[str, Any], star_rows: Sequence[Rows], cosmic_rows: Sequence[Rows]
) -> None:
    """Write `truth.json`, and `truth_stars.fits` with the tables STARS and COSMICS; each appears whole."""
    import fitsio

    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / ".truth_stars.part"
    temporary.unlink(missing_ok=True)
    with fitsio.FITS(str(temporary), "rw") as file:
        for name, dtype, rows in (("STARS", STAR_COLUMNS, star_rows), ("COSMICS", COSMIC_COLUMNS, cosmic_rows)):
            file.create_table_hdu(dtype=dtype, extname=name)
            if rows:
                file[name].write(np.concatenate([_table(r, dtype) for r in rows]))
    temporary.replace(directory / "truth_stars.fits")
    text = json.dumps(document, sort_keys=True, allow_nan=False, indent=1) + "\n"
    temporary = directory / ".truth.json.part"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(directory / "truth.json")


def _table(rows: Rows, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    table = np.empty(len(rows["expid"]), dtype)
    for name in table.dtype.names or ():
        table[name] = rows[name]
    return table


def _detector(camera: Camera, detector: DetectorTruth) -> dict[str, Any]:
    maps = patterns.pattern(camera, detector)
    return {
        "detector": str(detector.number),
        "name": detector.name,
        "centre_px": [detector.centre_x, detector.centre_y],
        "rotation_deg": detector.rotation_deg,
        "dark_e_s": detector.dark_e_s,
        "amplifiers": [{**asdict(a), "saturation_adu": a.saturation_adu} for a in detector.amplifiers],
        "hot_pixels": int(maps.hot.sum()),
        "bad_columns": [asdict(column) for column in maps.bad_columns],
    }
