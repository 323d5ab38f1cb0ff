"""The trend of the last hour as a small picture, with the limits as bands: read on a telephone, at night."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.alerts.message_facts import Facts

MOST_PANELS: Final = 4
# One thread draws, one picture after the other: matplotlib keeps every font anew, its file open, for each thread that
# has ever drawn (64 of them), and messages are written in threads that come and go.
_PAINTER: Final = ThreadPoolExecutor(1, thread_name_prefix="plots")
_WIDTH_IN, _PANEL_IN, _DPI = 5.6, 2.5, 160
_WARNING, _ERROR, _LINE = "#e69f00", "#d55e00", "#0072b2"  # Okabe and Ito's palette: told apart by every eye


def trend_png(facts: Sequence[Facts], now: float) -> bytes | None:
    """One panel for each alert that has a trend, four at most.

    Returns
    -------
    bytes or None
        A PNG 896 pixels wide; None when nothing can be drawn: no alert has a trend, or matplotlib is not installed
        (the extra `alerts`).
    """
    shown = [item for item in facts if np.isfinite(item.values).any()][:MOST_PANELS]
    if not shown:
        return None
    return _PAINTER.submit(_draw, shown, now).result()


def _draw(shown: Sequence[Facts], now: float) -> bytes | None:
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    # A figure of its own, without pyplot: nothing is left behind. matplotlib's settings are those of the process.
    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "axes.unicode_minus": False,
        "path.simplify": True,
    }
    with rc_context(style):
        figure = Figure(figsize=(_WIDTH_IN, _PANEL_IN * len(shown) + 0.2), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        for axes, item in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
            _panel(axes, item, now)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": "nightferry"})
    return buffer.getvalue()


def _panel(axes: Any, item: Facts, now: float) -> None:
    low, high = _range(item)
    axes.set_ylim(low, high)
    _bands(axes, item, low, high)
    times = (item.times_s * 1e3).astype("datetime64[ms]")
    axes.plot(times, item.values, color=_LINE, linewidth=1.8, marker="." if len(times) < 60 else None, zorder=3)
    axes.plot(*_last(times, item.values), "o", color=_LINE, markersize=7, zorder=4)
    start, end = _span(times, now)
    axes.set_xlim(start, end)
    _time_axis(axes, str(end)[:10])
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(_drawable(_title(item)), loc="left", fontsize=11, parse_math=False)
    axes.set_ylabel(_drawable(item.trend_unit), parse_math=False)


def _title(item: Facts) -> str:
    name = item.label if len(item.label) <= 38 else f"{item.label[:18]}…{item.label[-19:]}"
    return f"{name}: {item.value} {item.unit}".rstrip() if item.value else name


def _time_axis(axes: Any, date: str) -> None:
    from matplotlib import dates

    kit: Any = dates  # these two have no types
    axes.xaxis.set_major_locator(kit.AutoDateLocator(minticks=3, maxticks=7))
    axes.xaxis.set_major_formatter(kit.DateFormatter("%H:%M"))
    axes.set_xlabel(f"{date} UTC", loc="right", labelpad=1)


def _last(times: NDArray[np.datetime64], values: NDArray[np.float64]) -> tuple[Any, Any]:
    at = np.flatnonzero(np.isfinite(values))[-1:]
    return times[at], values[at]


def _span(times: NDArray[np.datetime64], now: float) -> tuple[np.datetime64, np.datetime64]:
    """From the first value to now, for silence must be seen; ten minutes at least."""
    start, end = times[0], times[-1]
    clock = np.datetime64(int(now * 1e3), "ms")
    if end < clock < end + np.timedelta64(6, "h"):
        end = clock
    length = max(end - start, np.timedelta64(600_000, "ms"))
    return end - length, end + length // 40


def _bands(axes: Any, item: Facts, low: float, high: float) -> None:
    lines: dict[float, str] = {}
    for side, edge in (("low", low), ("high", high)):
        warning = item.bands.get(f"warning_{side}")  # type: ignore[call-overload]
        error = item.bands.get(f"error_{side}")  # type: ignore[call-overload]
        # Clipped to the axis: matplotlib cannot place what is far beyond it.
        ends = [float(np.clip(end, low, high)) for end in (warning, error) if end is not None]
        if warning is not None:
            axes.axhspan(ends[0], edge if error is None else ends[1], color=_WARNING, alpha=0.16, linewidth=0)
            lines[warning] = _WARNING
        if error is not None:
            axes.axhspan(ends[-1], edge, color=_ERROR, alpha=0.22, linewidth=0)
            lines[error] = _ERROR
    if item.tripped is not None and item.tripped not in lines:
        lines[item.tripped] = _ERROR
    for limit, color in lines.items():
        if low < limit < high:
            axes.axhline(limit, color=color, linewidth=1.2, linestyle="--", zorder=2)


def _range(item: Facts) -> tuple[float, float]:
    """Where the axis begins and ends: all the values, the limit that tripped, and other limits that are near."""
    finite = item.values[np.isfinite(item.values)]
    low, high = float(finite.min()), float(finite.max())
    if item.tripped is not None and abs(item.tripped) < 1e100:
        low, high = min(low, item.tripped), max(high, item.tripped)
    reach = 1.5 * (high - low)
    near = [limit for limit in item.bands.values() if low - reach <= limit <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.08 * (high - low) or max(abs(high) * 0.02, 1e-12)
    if not math.isfinite(high - low + margin):
        margin = 0.0
    return low - margin, high + margin


def _drawable(text: str) -> str:
    """Only characters that the font has: another one would be an empty box, and a warning."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(char if ord(char) in known else "?" for char in text)
