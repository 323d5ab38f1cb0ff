"""What a characterisation says: quantities with errors, flags, and figures as numbers that are still to be drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import Limits, Verdict, verdict_of
from processors.fits import Frame

MOST_POINTS: Final = 512  # of a curve in a figure: what a screen shows
MISSING, POOR = "MISSDATA", "POORQUALDATA"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured number with its standard error (NaN where none can be given) and what to think of it.

    `number` is how many frames, pairs, points or pixels it comes from. `amplifier` is empty for what concerns the whole
    detector. `flag` is empty when all is well, `limits` the range that decided.
    """

    name: str
    amplifier: str
    value: float
    error: float
    unit: str
    number: int
    verdict: Verdict = "ok"
    flag: str = ""
    limits: Limits | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A curve or points: x, y and the standard error of y (empty where there is none), of one length."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """Something to draw: curves over common axes, or `image`, a small matrix by rows."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...] = ()
    image: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class FrameUse:
    """A frame that was used in a role, or (`role` empty) why it was left out."""

    file: str
    role: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Characterisation:
    """Everything that one kind found out about one detector. `group` is what its frames share: readout, filter.

    `tables` holds what is neither a number nor a figure: coefficients, positions of pixels.
    """

    kind: str
    instrument: str
    detector: str
    group: str
    quantities: tuple[Quantity, ...]
    flags: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    frames: tuple[FrameUse, ...] = ()
    messages: tuple[str, ...] = ()

    def value(self, name: str, amplifier: str = "") -> Quantity:
        """The quantity of this name (KeyError when there is none)."""
        for quantity in self.quantities:
            if (quantity.name, quantity.amplifier) == (name, amplifier):
                return quantity
        raise KeyError(f"{self.kind} has no {name} of amplifier {amplifier!r}")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers under column names."""

    name: str
    amplifier: str
    columns: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """Pronounces on numbers by the limits of a frame's instrument file, then by those given for the occasion."""

    frame: Frame
    given: tuple[tuple[str, tuple[float | None, float | None]], ...] = ()

    def __call__(
        self,
        name: str,
        amplifier: str,
        value: float,
        error: float,
        unit: str,
        number: int = 1,
        flag: str = POOR,
        check: str = "",
        scale: float = 1.0,
        message: str = "",
    ) -> Quantity:
        """A quantity with its verdict; the limits are those of `check` (the name unless given) times `scale`.

        What is not a number is an error, whatever the limits, and flagged POORQUALDATA.
        """
        limit = self.frame.instrument.limit(check or name, self.frame.identity)
        verdict, limits = verdict_of(value / scale if scale else math.nan, limit)
        for given, (low, high) in self.given:
            if given == name and math.isfinite(value):
                limits = (low, high)
                outside = (low is not None and value < low) or (high is not None and value > high)
                verdict, scale = ("error" if outside else "ok"), 1.0
        if not math.isfinite(value):
            flag = POOR
        if limits is not None:
            limits = (_times(limits[0], scale), _times(limits[1], scale))
        return Quantity(
            name,
            amplifier,
            value,
            error,
            unit,
            number,
            verdict,
            "" if verdict == "ok" else flag,
            limits,
            message or ("" if math.isfinite(value) else "could not be measured"),
        )


def flags_of(quantities: Iterable[Quantity], more: Iterable[str] = ()) -> tuple[str, ...]:
    """All flags that are raised, each once, sorted."""
    return tuple(sorted({quantity.flag for quantity in quantities if quantity.flag} | set(more)))


def series(label: str, x: Sequence[float] | NDArray[Any], y: Any, error: Any = ()) -> Series:
    """A series of plain floats; of long ones the means of equal runs, so that what is drawn keeps its shape."""
    return Series(label, _floats(x), _floats(y), _floats(error, combine=True))


def matrix(values: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    """A small matrix as plain floats."""
    return tuple(tuple(float(value) for value in row) for row in values)


def histogram(label: str, values: NDArray[Any], bins: int = 100) -> Series:
    """Counts in equal bins between the 0.1 % and the 99.9 % quantile; x is the middle of the bins."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Series(label, (), ())
    low, high = np.quantile(finite, [0.001, 0.999])
    if not high > low:
        high = low + 1
    counts, edges = np.histogram(finite, bins, (float(low), float(high)))
    return Series(label, _floats((edges[1:] + edges[:-1]) / 2), _floats(counts))


def _floats(values: Any, combine: bool = False) -> tuple[float, ...]:
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size > MOST_POINTS:
        step = -(-array.size // MOST_POINTS)
        starts = np.arange(0, array.size, step)
        lengths = np.diff(np.append(starts, array.size))
        if combine:
            array = np.sqrt(np.add.reduceat(array**2, starts)) / lengths
        else:
            array = np.add.reduceat(array, starts) / lengths
    return tuple(float(value) for value in array)


def _times(limit: float | None, scale: float) -> float | None:
    return None if limit is None else limit * scale
