"""The solution on the sky that a header gives: plain TAN, SIP, TPV, the old CDELT and CROTA, and other projections."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from processors.cards import Header, Value
from processors.errors import BadFrame

if TYPE_CHECKING:
    from astropy.wcs import WCS

WCS_CARD: Final = re.compile(
    r"WCSAXES|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CD[12]_[12]|PC[12]_[12]|PC00[12]00[12]|CDELT[12]|CROTA[12]"
    r"|PV[12]_\d\d?|[AB]P?_(ORDER|DMAX|\d_\d)|LONPOLE|LATPOLE"
)
_TEXTS: Final = re.compile(r"CTYPE[12]|CUNIT[12]")
_SKY_AXIS: Final = re.compile(r"(CTYPE|CUNIT|CRVAL|CDELT|CD|PC|PC00)([12])(|_[12]|00[12])")
_CD: Final = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
_TABLES: Final = re.compile(r"(CPDIS|DP|CQDIS|DQ|D2IMDIS|D2IM)[12](\.|$)")


def read_wcs(header: Header) -> WCS | None:
    """The celestial solution of a header, or None where it has none.

    Only cards of the solution are looked at, so that nothing else in the header can disturb it. A CD matrix wins over
    PC, CDELT and CROTA (both stand in ESO's headers); PVi_j beside SIP are dropped, as SCAMP's distortion doubles that
    of SIP; TAN with PVi_j is SCAMP's old name of TPV. RA is always the first axis of what comes back.

    Raises
    ------
    BadFrame
        A card of it is missing or is no number, the matrix has no inverse, the frame is not ICRS or J2000, or the
        distortion stands in tables.
    """
    axes = [str(header.get(f"CTYPE{axis}", "") or "").strip().upper() for axis in (1, 2)]
    kinds = {axis[:4].rstrip("-") for axis in axes}
    if not kinds & {"RA", "DEC"}:
        return None
    where = f"HDU {header.index}"
    if kinds != {"RA", "DEC"}:
        raise BadFrame(f"{where}: axes {axes[0]!r} and {axes[1]!r} make no position on the sky")
    if any(_TABLES.match(keyword) for keyword in header):
        raise BadFrame(f"{where}: distortion tables are not supported")
    _refuse_frame(header, where)
    return _build(solution_cards(header), where)


def solution_cards(header: Header) -> dict[str, str | int | float]:
    """The cards of a header's solution, written in one way: one matrix, one distortion, RA first (BadFrame)."""
    where = f"HDU {header.index}"
    return _tidy(_cards(header, where), where)


def form_of(header: Header) -> str:
    """Form of a header's solution (which `read_wcs` can read) in small letters: tan, sip, tpv, sin, …"""
    name = str(solution_cards(header)["CTYPE1"])
    return "sip" if name.endswith("-SIP") else name[5:8].lower()


def _cards(header: Header, where: str) -> dict[str, str | int | float]:
    cards: dict[str, str | int | float] = {}
    for keyword in header:
        if WCS_CARD.fullmatch(keyword) is None:
            continue
        value: Value = header[keyword]
        if value is None:
            continue
        text = _TEXTS.fullmatch(keyword) is not None
        if isinstance(value, bool) or isinstance(value, str) is not text:
            raise BadFrame(f"{where}: {keyword} is {value!r}")
        cards[keyword] = value.strip().upper() if isinstance(value, str) and keyword.startswith("CTYPE") else value
    for keyword in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"):
        if keyword not in cards:
            raise BadFrame(f"{where}: no {keyword}")
    return cards


def _tidy(cards: dict[str, str | int | float], where: str) -> dict[str, str | int | float]:
    """One way of writing the matrix and the distortion."""
    drop: set[str] = set()
    if any(keyword in cards for keyword in _CD):
        drop |= {key for key in cards if re.match(r"PC|CDELT|CROTA", key)}
    elif "CDELT1" not in cards or "CDELT2" not in cards:
        if not any(key.startswith("PC") for key in cards):
            raise BadFrame(f"{where}: neither a CD matrix nor CDELT1 and CDELT2")
    elif any(key.startswith("PC") for key in cards):
        drop |= {key for key in cards if key.startswith("CROTA")}
    sip = "A_ORDER" in cards and "B_ORDER" in cards
    distorted = any(re.match(r"PV[12]_", key) for key in cards)
    if sip:
        drop |= {key for key in cards if key.startswith("PV")}
    else:
        drop |= {key for key in cards if re.match(r"[AB]P?_", key)}
    tidy = {key: value for key, value in cards.items() if key not in drop and key != "WCSAXES"}
    for axis in ("CTYPE1", "CTYPE2"):
        name = str(tidy[axis]).removesuffix("-SIP")
        if name.endswith("-TAN") and (sip or distorted):
            name = f"{name}-SIP" if sip else name.removesuffix("TAN") + "TPV"
        tidy[axis] = name
    return _ra_first(tidy, where) if str(tidy["CTYPE1"]).startswith("DEC") else tidy


def _ra_first(cards: dict[str, str | int | float], where: str) -> dict[str, str | int | float]:
    """The same solution with its sky axes in the usual order, on which all that comes later relies."""
    if any(re.match(r"PV|CROTA", key) for key in cards):
        raise BadFrame(
            f"{where}: declination is the first axis, with a distortion or rotation that depends on the order"
        )
    other = {"1": "2", "2": "1"}
    return {
        f"{match[1]}{other[match[2]]}{match[3]}" if (match := _SKY_AXIS.fullmatch(key)) else key: value
        for key, value in cards.items()
    }


def _refuse_frame(header: Header, where: str) -> None:
    frame = str(header.get("RADESYS") or header.get("RADECSYS") or "").strip().upper()
    equinox = header.get("EQUINOX")
    if frame not in {"", "ICRS", "FK5"}:
        raise BadFrame(f"{where}: positions are in {frame}; ICRS and FK5 (J2000) are supported")
    if frame != "ICRS" and isinstance(equinox, int | float) and not math.isclose(float(equinox), 2000.0):
        raise BadFrame(f"{where}: positions are of equinox {equinox}; J2000 is supported")


def _build(cards: Mapping[str, str | int | float], where: str) -> WCS:
    import numpy as np
    from astropy.io import fits
    from astropy.wcs import WCS

    header = fits.Header()
    for keyword, value in cards.items():
        header[keyword] = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            wcs = WCS(header, naxis=2)
            ra, dec = wcs.all_pix2world(np.array([header["CRPIX1"]]), np.array([header["CRPIX2"]]), 1)
            matrix = wcs.pixel_scale_matrix
    except Exception as error:  # wcslib and astropy raise a dozen classes of their own
        raise BadFrame(f"{where}: no solution on the sky: {' '.join(str(error).split())[:200]}") from error
    finite = np.isfinite(matrix).all() and np.isfinite(ra).all() and np.isfinite(dec).all()
    if not finite or abs(np.linalg.det(matrix)) < 1e-20:
        raise BadFrame(f"{where}: the matrix of the solution has no inverse")
    return wcs
