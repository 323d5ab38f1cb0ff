"""What faults do to the rows of housekeeping."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.simulator.faults import BadFault, Fault, record_of

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Damaged:
    """Housekeeping with its faults.

    Attributes
    ----------
    values : float64 array (rows, parameters)
        NaN where the sensor gives no number.
    missing : bool array (rows,)
        Rows that are not written.
    shift_s : float64 array (rows,)
        How far the clock of a row is off.
    files : mapping of row to fault kinds
        What happens to the file before this row is written: `truncate`, `recreate`.
    truth : list
        Every fault with the moments (ISO, UTC) at which it `began` and `ended`: the first row that shows it, and the
        first row after it (null: none).
    """

    values: Array
    missing: npt.NDArray[np.bool_]
    shift_s: Array
    files: Mapping[int, Sequence[str]]
    truth: Sequence[dict[str, Any]]


def damage(
    faults: Sequence[Fault], values: Array, names: Sequence[str], start: dt.datetime, step_s: int, rate: Array
) -> Damaged:
    """Let the faults of housekeeping happen to the night's `values` (rows, parameters), one row every `step_s`.

    Parameters
    ----------
    rate : float64 array (parameters,)
        Step of each converter: what is written is a multiple of it.

    Raises
    ------
    BadFault
        A parameter or a moment is not in this night.
    """
    values = values.copy()
    rows = len(values)
    missing, shift = np.zeros(rows, np.bool_), np.zeros(rows)
    files: dict[int, list[str]] = {}
    truth = []
    end = start + dt.timedelta(seconds=(rows - 1) * step_s)
    for fault in faults:
        if fault.of_frames:
            continue
        begin, over = fault.when(start, end)
        first = -int((start - begin).total_seconds() // step_s)
        last = min(rows, max(first + 1, -int((start - over).total_seconds() // step_s)))
        if fault.kind in ("truncate", "recreate"):
            files.setdefault(first, []).append(fault.kind)
        elif fault.kind == "stale":
            missing[first:last] = True
        elif fault.kind == "clock":
            shift[first:last] += fault.by
        else:
            column = _column(fault, names)
            bad = _spoil(fault, values[:, column], first, last, step_s)
            values[first:last, column] = np.round(bad / rate[column]) * rate[column] if fault.kind != "railed" else bad
        truth.append(
            record_of(fault, began=_iso(start, first, step_s), ended=_iso(start, last, step_s) if last < rows else None)
        )
    return Damaged(values, missing, shift, files, truth)


def _spoil(fault: Fault, values: Array, first: int, last: int, step_s: int) -> Array:
    """What a sensor says in rows first to last."""
    good = values[first:last]
    along = np.arange(len(good))
    before = float(values[max(0, first - 1)])
    level = before if fault.level is None else fault.level
    if fault.kind == "step":
        return good + fault.by
    if fault.kind == "drift":
        return np.asarray(good + fault.by * (1 - np.abs(1 - 2 * along / len(good))))
    if fault.kind == "flap":
        up = (along * step_s // fault.every_s) % 2 == 0
        return np.where(up, level + fault.by, level - fault.by)
    if fault.kind == "stuck":
        return np.full(len(good), before)
    return np.full(len(good), np.nan if fault.kind == "nan" else level)


def _column(fault: Fault, names: Sequence[str]) -> int:
    if fault.parameter not in names:
        raise BadFault(f"{fault.kind}: there is no parameter {fault.parameter!r}; expected one of {', '.join(names)}")
    return names.index(fault.parameter)


def _iso(start: dt.datetime, row: int, step_s: int) -> str:
    return (start + dt.timedelta(seconds=row * step_s)).strftime("%Y-%m-%dT%H:%M:%S")
