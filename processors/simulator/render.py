"""An exposure as bytes, ready to be written, with the truth about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.card_text import Card
from processors.simulator.camera import Camera, DetectorTruth, build_camera
from processors.simulator.expose import DetectorExposure, expose
from processors.simulator.fitsfile import image_hdu, primary_hdu
from processors.simulator.headers import detector_cards, primary_cards
from processors.simulator.options import NightOptions
from processors.simulator.plan import PlannedExposure, plan_night
from processors.simulator.sky import zero_point

Rows = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A file to be: its name, the numbers of its detectors, the bytes of its HDUs, and the truth of each detector."""

    name: str
    detectors: tuple[int, ...]
    hdus: tuple[bytes, ...]
    truth: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class RenderedExposure:
    """The files of an exposure, and rows for the truth's tables of stars and cosmic rays (none: empty lists)."""

    files: tuple[RenderedFile, ...]
    stars: tuple[Rows, ...]
    cosmics: tuple[Rows, ...]


@lru_cache(maxsize=2)
def _night(options: NightOptions) -> tuple[Camera, tuple[PlannedExposure, ...]]:
    return build_camera(options), plan_night(options)


def render(options: NightOptions, index: int) -> RenderedExposure:
    """Simulate exposure `index` (from 0) of the plan; it needs no other exposure, so processes can share the work."""
    camera, plan = _night(options)
    planned = plan[index]
    detectors = camera.detectors
    exposed = [expose(options, camera, planned, detector) for detector in detectors]
    primary = primary_cards(options, camera, planned)
    stem = f"{options.instrument}_{planned.expid:08d}"
    truths = [_truth(planned, detector, e) for detector, e in zip(detectors, exposed, strict=True)]
    cards = [detector_cards(camera, d, planned, e.wcs) for d, e in zip(detectors, exposed, strict=True)]
    if options.layout == "mosaic":
        hdus = [primary_hdu([*primary, ("NEXTEND", len(detectors), "number of extensions")])]
        hdus += [image_hdu(c, e.raw, d.name) for c, e, d in zip(cards, exposed, detectors, strict=True)]
        numbers = tuple(d.number for d in detectors)
        files = [RenderedFile(f"{stem}.fits", numbers, tuple(hdus), tuple(truths))]
    else:
        files = []
        for detector, e, own, truth in zip(detectors, exposed, cards, truths, strict=True):
            name: Card = ("EXTNAME", detector.name, "detector")
            hdu = primary_hdu([*primary, name, *own], e.raw)
            files.append(RenderedFile(f"{stem}_d{detector.number:02d}.fits", (detector.number,), (hdu,), (truth,)))
    stars = [_star_rows(planned, d, e) for d, e in zip(detectors, exposed, strict=True) if e.stars is not None]
    cosmics = [_cosmic_rows(planned, d, e) for d, e in zip(detectors, exposed, strict=True) if len(e.tracks)]
    return RenderedExposure(tuple(files), tuple(stars), tuple(cosmics))


def _truth(planned: PlannedExposure, detector: DetectorTruth, exposed: DetectorExposure) -> dict[str, Any]:
    """What a detector of an exposure was made of; constants of the camera are told once, elsewhere."""
    lit = planned.band is not None and planned.target is not None
    return {
        "detector": str(detector.number),
        "bias_adu": list(exposed.bias_adu),
        "overscan_adu": list(exposed.overscan_adu),
        "light_e": round(exposed.light_e, 4),
        "response_mean": round(exposed.response_mean, 6),
        "dark_e": round(exposed.dark_e, 5),
        "wcs": None if exposed.wcs is None else asdict(exposed.wcs),
        "zero_point": round(zero_point(planned.band or "", planned.airmass, planned.weather.transparency), 5)
        if lit
        else None,
        "stars": 0 if exposed.stars is None else int(exposed.stars.number.size),
        "cosmic_rays": len(exposed.tracks),
        "saturated_pixels": exposed.saturated_pixels,
    }


def _star_rows(planned: PlannedExposure, detector: DetectorTruth, exposed: DetectorExposure) -> Rows:
    stars = exposed.stars
    assert stars is not None
    rows = _keys(planned, detector, stars.number.size)
    columns = ("ra", "dec", "x", "y", "magnitude", "flux_e", "saturated")
    return {**rows, "star": stars.number.astype(np.int32), **{name: getattr(stars, name) for name in columns}}


def _cosmic_rows(planned: PlannedExposure, detector: DetectorTruth, exposed: DetectorExposure) -> Rows:
    tracks = exposed.tracks
    rows = _keys(planned, detector, len(tracks))
    rows |= {"x": tracks.x + 1, "y": tracks.y + 1, "length": tracks.length, "angle_deg": np.degrees(tracks.angle)}
    return {**rows, "electrons": tracks.electrons}


def _keys(planned: PlannedExposure, detector: DetectorTruth, count: int) -> Rows:
    return {"expid": np.full(count, planned.expid, np.int64), "detector": np.full(count, detector.number, np.int16)}
