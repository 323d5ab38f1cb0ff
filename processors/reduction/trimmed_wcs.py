"""The solution on the sky of a raw header, for the trimmed image."""

from __future__ import annotations

from processors.astrometry.header_wcs import solution_cards
from processors.card_text import Card
from processors.cards import Header
from processors.errors import BadFrame
from processors.geometry import DetectorSetup

_FRAME = ("RADESYS", "EQUINOX")


def trimmed_wcs(header: Header, setup: DetectorSetup) -> list[Card]:
    """Cards of the header's solution, written in one way, its reference pixel moved by what was trimmed.

    Empty where the header has none or one that makes no sense, and where trimming is more than a shift.
    """
    shifts = {(a.data.x0 - a.trimmed.x0, a.data.y0 - a.trimmed.y0) for a in setup.amplifiers}
    if len(shifts) != 1 or not any(str(header.get(f"CTYPE{axis}", "")).startswith("RA--") for axis in (1, 2)):
        return []
    try:
        solution = solution_cards(header)
    except BadFrame:
        return []
    dx, dy = next(iter(shifts))
    for keyword, shift in (("CRPIX1", dx), ("CRPIX2", dy)):
        solution[keyword] = float(solution[keyword]) - shift
    cards: list[Card] = [(key, header[key], "") for key in _FRAME if key in header]
    return cards + [(key, value, "") for key, value in solution.items()]
