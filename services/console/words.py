"""Numbers in as few letters as a person at night can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"
LETTERS: Final = "_.-~=+*#"  # for a terminal that knows ASCII only


def lasting(seconds: float) -> str:
    """A time span in at most five letters: `47s`, `12m`, `5h`, `3d`."""
    if not math.isfinite(seconds):
        return "?"
    for unit, length, below in (("s", 1, 100), ("m", 60, 100), ("h", 3600, 72)):
        if abs(seconds) < below * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def sized(size: float) -> str:
    """Bytes: `812 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def number(value: float | None, digits: int = 4) -> str:
    """A value with so many significant digits, without an exponent where that is short."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 7:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def spark(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """A line of `width` letters that shows how values went; a gap where there is no number.

    Parameters
    ----------
    values
        Evenly spaced in time, the oldest first; NaN where there is none. Each letter is the mean of its share.
    """
    marks = LETTERS if ascii_only else BLOCKS
    shares = [_mean(values[_edge(values, n, width) : _edge(values, n + 1, width)]) for n in range(width)]
    known = [value for value in shares if math.isfinite(value)]
    if not known:
        return ""
    low, high = min(known), max(known)
    span = high / 2 - low / 2  # halves: the largest numbers have a difference too
    text = ""
    for value in shares:
        if not math.isfinite(value):
            text += " "
        elif span <= 1e-12 * max(abs(low), abs(high)):
            text += marks[len(marks) // 2 - 1]
        else:
            text += marks[min(len(marks) - 1, int((value / 2 - low / 2) / span * len(marks)))]
    return text


def _edge(values: Sequence[float], index: int, width: int) -> int:
    return len(values) * index // width


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return math.nan
    # Rounding must not carry it beyond the largest number there is.
    return max(min(known), min(max(known), sum(value / len(known) for value in known)))
