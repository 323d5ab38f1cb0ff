"""Housekeeping as a picture: a panel per parameter with its limits, as test benches have it on the wall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.console.hk_view import ParameterLine
from services.core.errors import ServiceError

MOST_PANELS: Final = 60
_COLUMNS: Final = 3
_LINE, _WARNING, _ERROR = "#0072b2", "#e69f00", "#d55e00"  # Okabe and Ito's palette: told apart by every eye

Panel = tuple[ParameterLine, npt.NDArray[np.int64], npt.NDArray[np.float64]]


class CannotPlot(ServiceError):
    """There is nothing to draw, too much of it, or matplotlib is not installed."""

    exit_code = 2


def plot(path: Path, panels: Sequence[Panel]) -> None:
    """Draw times (ns) and values of parameters into a PNG file.

    Raises
    ------
    CannotPlot
        See the class.
    """
    drawn = [panel for panel in panels if np.isfinite(panel[2]).any()]
    if not 0 < len(drawn) <= MOST_PANELS:
        raise CannotPlot(f"{len(drawn)} parameters with numbers: expected 1 to {MOST_PANELS}; name some")
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise CannotPlot("matplotlib is not installed: pip install matplotlib") from None
    across = min(_COLUMNS, len(drawn))
    down = -(-len(drawn) // across)
    style: dict[Any, Any] = {"font.family": "DejaVu Sans", "font.size": 9, "axes.unicode_minus": False}
    with rc_context(style):
        figure = Figure(figsize=(4.6 * across + 0.4, 2.3 * down + 0.3), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        places = figure.subplots(down, across, squeeze=False).ravel()
        for axes, panel in zip(places, drawn, strict=False):
            _panel(axes, *panel)
        for axes in places[len(drawn) :]:
            axes.set_visible(False)
        figure.savefig(path, format="png", metadata={"Software": "nightferry"})


def _panel(axes: Any, line: ParameterLine, times_ns: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
    from matplotlib import dates

    times = times_ns.astype("datetime64[ns]").astype("datetime64[ms]")
    known = values[np.isfinite(values)]
    low, high = float(known.min()), float(known.max())
    margin = 0.15 * (high - low) or 0.01 * max(abs(high), 1e-6)
    axes.plot(times, values, color=_LINE, linewidth=1.2, marker="." if len(times) < 60 else None, markersize=3)
    axes.set_ylim(low - margin, high + margin)
    for name, limit in line.limits.items():
        # A limit far away would press the curve flat; it is in the table.
        if isinstance(limit, int | float) and low - 4 * margin - (high - low) <= limit <= high + 4 * margin + (
            high - low
        ):
            axes.axhline(limit, color=_ERROR if name.startswith("error") else _WARNING, linewidth=1, linestyle="--")
            bottom, top = axes.get_ylim()
            axes.set_ylim(min(bottom, limit - margin / 2), max(top, limit + margin / 2))
    axes.set_title(line.parameter, fontsize=9, color=_ERROR if line.bad else "black", loc="left")
    axes.set_ylabel(line.unit)
    library: Any = dates  # its stubs leave these two without types
    locator = library.AutoDateLocator(minticks=2, maxticks=5)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(library.ConciseDateFormatter(locator))
    axes.grid(alpha=0.25)
