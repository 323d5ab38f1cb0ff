"""Results of checks on their way into the ledger, the metrics and the task's log."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from processors.checks.result import CheckResult
from processors.fits import Frame
from services.core.metrics.delay import observed_ns
from services.core.metrics.spool import Point
from services.worker.tasks import tags_of


def log_results(results: Sequence[CheckResult], log: logging.Logger) -> None:
    """Say in the task's log what is not ok."""
    for result in results:
        if result.verdict != "ok":
            where = f"{result.detector}/{result.amplifier}"
            log.warning("%s %s: %s %s %s", result.check, where, result.verdict, result.flag, result.message)


def qa_rows(results: Sequence[CheckResult], sha256: str) -> list[dict[str, Any]]:
    """Rows for the ledger, filed under one frame. A value that is no number is null there; its verdict is an error."""
    return [
        {
            "sha256": sha256,
            "check": result.check,
            "detector": result.detector,
            "amplifier": result.amplifier,
            "value": float(result.value) if math.isfinite(result.value) else None,
            "unit": result.unit,
            "verdict": result.verdict,
            "flag": result.flag,
            "limits": None if result.limits is None else list(result.limits),
            "message": result.message,
        }
        for result in results
    ]


def qa_points(results: Sequence[CheckResult], frame: Frame, production: str) -> list[Point]:
    """Points for InfluxDB, at the time of the observation."""
    common = {**tags_of(frame), "production": production}
    time_ns = observed_ns(frame.identity.date_obs)
    points = []
    for result in results:
        tags = {
            "check": result.check,
            "detector": result.detector,
            "amplifier": result.amplifier,
            "unit": result.unit,
            "flag": result.flag,
        }
        fields = {"value": float(result.value), "verdict": result.verdict, "expid": frame.identity.expid}
        points.append(Point("qa", fields, {**common, **tags}, time_ns))
    return points
