"""Does the solution on the sky lie where the telescope was pointed?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.astrometry.plane import Tangent
from processors.cards import Header, Value
from processors.checks.result import CheckResult, verdict_of
from processors.checks.view import ON_SKY, POOR
from processors.fits import Frame
from processors.geometry import DetectorSetup
from processors.identity import text_of

_SEXAGESIMAL: Final = re.compile(r"([+-]?)(\d+)[: hd]+(\d+)[: m]+(\d+(?:\.\d*)?)s?")
_MATRIX: Final = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")


def check_pointing(frame: Frame) -> Iterator[CheckResult]:
    """Angle in arcsec between RA and DEC of the header and the middle of its detectors by their WCS.

    Distortions are left out. A header without RA and DEC, or without a solution on the sky, gives no result.
    """
    primary = frame.headers[0]
    if frame.identity.obstype not in ON_SKY or "RA" not in primary or "DEC" not in primary:
        return
    solved = [setup for setup in frame.setups if _has_solution(frame.headers[setup.hdu])]
    if not solved:
        return
    pointed = direction(angle_deg(primary["RA"], 15.0), angle_deg(primary["DEC"], 1.0))
    centres = [direction(*centre_deg(frame.headers[setup.hdu], setup)) for setup in solved]
    middle = np.mean(centres, axis=0)
    apart = np.arctan2(np.linalg.norm(np.cross(pointed, middle)), pointed @ middle)
    value = float(np.degrees(apart)) * 3600
    verdict, limits = verdict_of(value, frame.instrument.limit("pointing", frame.identity))
    message = "" if math.isfinite(value) else "RA, DEC or the solution on the sky are no numbers"
    flag = "POINTING" if math.isfinite(value) else POOR
    if limits is None and not message:
        message = "no limits"
    yield CheckResult(
        str(frame.path), "pointing", "", "", value, "arcsec", verdict, "" if verdict == "ok" else flag, limits, message
    )


def angle_deg(value: Value, unit: float) -> float:
    """Degrees of a card: a number is degrees, h:m:s or d:m:s is times `unit`; NaN for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = text_of(value)
    if match := _SEXAGESIMAL.fullmatch(text):
        sign, whole, minutes, seconds = match.groups()
        degrees = unit * (float(whole) + float(minutes) / 60 + float(seconds) / 3600)
        return -degrees if sign == "-" else degrees
    try:
        return float(text)
    except ValueError:
        return math.nan


def direction(ra_deg: float, dec_deg: float) -> NDArray[np.float64]:
    """Unit vector of a position."""
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    return np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])


def centre_deg(header: Header, setup: DetectorSetup) -> tuple[float, float]:
    """RA and Dec of the middle of a detector's data by the linear part of its TAN, TPV or SIP solution; NaN if none."""
    sections = [amplifier.data for amplifier in setup.amplifiers]
    x = (min(s.x0 for s in sections) + max(s.x1 for s in sections) + 1) / 2
    y = (min(s.y0 for s in sections) + max(s.y1 for s in sections) + 1) / 2
    numbers = [_number(header, card) for card in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")]
    matrix = [_number(header, card, 0.0) for card in _MATRIX]
    if not any(matrix):
        return math.nan, math.nan
    ra, dec, x0, y0 = numbers
    if text_of(header["CTYPE1"]).startswith("DEC"):
        ra, dec = dec, ra
        matrix = [*matrix[2:], *matrix[:2]]
    xi = matrix[0] * (x - x0) + matrix[1] * (y - y0)
    eta = matrix[2] * (x - x0) + matrix[3] * (y - y0)
    alpha, delta = Tangent(ra, dec).deproject(np.array([xi]), np.array([eta]))
    return float(alpha[0]), float(delta[0])


def _has_solution(header: Header) -> bool:
    return text_of(header.get("CTYPE1"))[:4] in {"RA--", "DEC-"} and any(card in header for card in _MATRIX)


def _number(header: Header, card: str, default: float = math.nan) -> float:
    value = header.get(card, default)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
