"""The solution on the sky of a raw header, for the trimmed image."""

from __future__ import annotations

from processors.astrometry.header_wcs import WCS_CARD
from processors.card_text import Card
from processors.cards import Header
from processors.geometry import DetectorSetup

_FRAME = ("RADESYS", "EQUINOX")


def trimmed_wcs(header: Header, setup: DetectorSetup) -> list[Card]:
    """All cards of the header's solution, its reference pixel moved by what was trimmed.

    Empty where the header has none, and where trimming is more than a shift.
    """
    shifts = {(a.data.x0 - a.trimmed.x0, a.data.y0 - a.trimmed.y0) for a in setup.amplifiers}
    pixel = [header.get("CRPIX1"), header.get("CRPIX2")]
    if len(shifts) != 1 or not any(str(header.get(f"CTYPE{axis}", "")).startswith("RA--") for axis in (1, 2)):
        return []
    if not all(isinstance(value, int | float) for value in pixel):
        return []
    dx, dy = next(iter(shifts))
    cards: list[Card] = [(key, header[key], "") for key in _FRAME if key in header]
    cards += [(key, header[key], "") for key in header if WCS_CARD.fullmatch(key) and not key.startswith("CRPIX")]
    return [*cards, ("CRPIX1", float(pixel[0]) - dx, ""), ("CRPIX2", float(pixel[1]) - dy, "")]
