"""Measured gains, as `nightferry characterise ptc --json` prints them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

Gains = dict[tuple[str, str], dict[str, float]]  # by instrument and detector: e-/ADU by amplifier


def read_gains(path: Path) -> Gains:
    """Gains of a file; where an amplifier was measured several times (filters, readouts) the least uncertain counts.

    A file that holds none, or lines that are no records of `characterise`, are a usage error.
    """
    best: dict[tuple[str, str, str], tuple[float, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            where = (str(record["instrument"]), str(record["detector"]))
            for quantity in record["quantities"]:
                if quantity["name"] == "gain":
                    _take(best, (*where, str(quantity["amplifier"])), quantity)
        except (ValueError, KeyError, TypeError) as error:
            raise click.UsageError(
                f"{path}, line {number}: no record of `nightferry characterise ptc --json`"
            ) from error
    if not best:
        raise click.UsageError(f"{path} holds no gain: it should be what `nightferry characterise ptc --json` prints")
    gains: Gains = {}
    for (instrument, detector, amplifier), (_, value) in best.items():
        gains.setdefault((instrument, detector), {})[amplifier] = value
    return gains


def _take(best: dict[tuple[str, str, str], tuple[float, float]], place: tuple[str, str, str], quantity: Any) -> None:
    value, error = quantity["value"], quantity["error"]
    if value is None:
        return  # not measured
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"a gain of {value}")
    rank = math.inf if error is None else float(error)
    if place not in best or rank < best[place][0]:
        best[place] = (rank, float(value))
