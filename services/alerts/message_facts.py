"""What a message tells of one alert: read from the ledger's row, where nothing in the details is trusted."""

from __future__ import annotations

import math
import shlex
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from services.alerts.message_kinds import Band

_TREND_POINTS: Final = 4096
_LAST_SECOND: Final = 4e9  # of 2096: what is later is not seconds since 1970


@dataclass(frozen=True)
class AlertView:
    """An alert as a message tells it: the columns of the ledger's table `alerts`.

    `details` may hold `value`, `limit`, `unit`, `parameter`, `source`, `trend` ([[seconds since 1970, value], …]),
    `trend_unit` where that is another than `unit`, and `limits` (`warning_low`, `warning_high`, `error_low`,
    `error_high`).
    """

    alert: str
    severity: int
    message: str
    raised_at: float
    episode: int = 1
    details: Mapping[str, Any] = field(default_factory=dict)
    acked_by: str | None = None
    resolved_at: float | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> AlertView:
        """The view of a row of the table `alerts` (`Row._mapping`), or of a document with the same keys."""
        return cls(
            alert=str(row["alert"]),
            severity=int(row["severity"]),
            message=str(row["message"]),
            raised_at=float(row["raised_at"]),
            episode=int(row.get("episode") or 1),
            details=row.get("details") or {},
            acked_by=row.get("acked_by"),
            resolved_at=row.get("resolved_at"),
        )


@dataclass(frozen=True)
class Facts:
    """The same in words and numbers that are safe to show: one line each, no control characters.

    `value` and `limit` are empty when the alert has none. `times_s` (seconds since 1970) and `values` are the trend,
    float64 arrays of one length, sorted by time, in `trend_unit`; a gap is NaN. `bands` are finite limits by
    their names, and `tripped` the limit that was crossed, where it is one of what the trend shows.
    """

    alert: str
    label: str
    source: str
    parameter: str
    message: str
    severity: int
    value: str
    limit: str
    unit: str
    trend_unit: str
    raised_at: float
    acked_by: str
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    bands: Mapping[Band, float]
    tripped: float | None

    @property
    def reading(self) -> str:
        """Value, limit and unit in one phrase: `-95.1 C (limit -100 C)`; empty without a value."""
        unit = f" {self.unit}" if self.unit else ""
        if self.value and self.limit:
            return f"{self.value}{unit} (limit {self.limit}{unit})"
        return f"{self.value}{unit}" if self.value else ""

    @property
    def ack_command(self) -> str:
        """What a person types to say that they take care of it."""
        return f"nightferry alerts ack {shlex.quote(self.alert)}"


def one_line(text: object, most: int = 500) -> str:
    """Any text as one line: control and format characters become blanks, at most `most` characters."""
    clean = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in str(text)[: most * 4])
    clean = " ".join(clean.split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def facts_of(view: AlertView) -> Facts:
    """Everything a message says of an alert; details that make no sense are left out, never an error."""
    details = view.details if isinstance(view.details, Mapping) else {}
    parameter, source = (one_line(details.get(key) or "", 80) for key in ("parameter", "source"))
    value, limit = (_known(details.get(key)) for key in ("value", "limit"))
    shown_value, shown_limit = _told_apart(value, limit)
    times, values = _trend(details.get("trend"))
    limits = details.get("limits")
    unit = one_line(details.get("unit") or "", 24)
    trend_unit = unit if details.get("trend_unit") is None else one_line(details["trend_unit"], 24)
    bands = {name: number for name in get_args(Band) if (number := _number(_get(limits, name))) is not None}
    return Facts(
        alert=one_line(view.alert, 200),
        # "*" and "-" stand for the whole of a source: that it is silent, or cannot be reached.
        label=(source if parameter in ("*", "-") else parameter) or one_line(view.alert, 200),
        source=source,
        parameter=parameter,
        message=one_line(view.message),
        severity=view.severity,
        value=shown_value,
        limit=shown_limit,
        unit=unit,
        trend_unit=trend_unit,
        raised_at=view.raised_at,
        acked_by=one_line(view.acked_by or "", 64),
        times_s=times,
        values=values,
        bands=bands,
        tripped=_number(limit) if trend_unit == unit else None,
    )


def _get(mapping: object, key: str) -> object:
    return mapping.get(key) if isinstance(mapping, Mapping) else None


def _known(value: object) -> float | str | None:
    if value is None or isinstance(value, Mapping | list | tuple):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return one_line(value, 40)
    return one_line(value, 40)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _told_apart(value: float | str | None, limit: float | str | None) -> tuple[str, str]:
    """Both as text, with as many digits as it takes to tell one from the other, at least five."""
    for digits in (5, 8, 12, 17):
        texts = tuple(_text(item, digits) for item in (value, limit))
        if value == limit or texts[0] != texts[1]:
            break
    return texts[0], texts[1]


def _text(item: float | str | None, digits: int) -> str:
    if item is None:
        return ""
    return item if isinstance(item, str) else f"{item:.{digits}g}"


def _trend(pairs: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = []
    for pair in pairs[-_TREND_POINTS:] if isinstance(pairs, list | tuple) else ():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            continue
        time_s, value = _number(pair[0]), _number(pair[1])
        if time_s is not None and 0 <= time_s < _LAST_SECOND:
            rows.append((time_s, math.nan if value is None or abs(value) > 1e100 else value))
    rows.sort(key=lambda row: row[0])
    array = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
