"""Results of checks on their way into the ledger, the metrics and the task's log."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from processors.checks.result import CheckResult
from processors.fits import Frame
from services.core.metrics.delay import observed_ns
from services.core.metrics.line import Field
from services.core.metrics.spool import Point
from services.core.metrics.whole import whole
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


def qa_points(results: Sequence[CheckResult], frame: Frame, production: str, kind: str) -> list[Point]:
    """Points for InfluxDB, at the time of the observation.

    Their tags say what was looked at, never what was found: a repeated check overwrites, whatever it finds.

    Parameters
    ----------
    kind : str
        Of the task: `check`, or that of a master. Both may have a read noise of the frame, by other means.
    """
    return [
        _point(
            (result.check, result.detector, result.amplifier),
            {"value": float(result.value), "verdict": result.verdict, "flag": result.flag, "unit": result.unit},
            frame,
            production,
            kind,
        )
        for result in results
    ]


def withdrawn_points(
    places: Iterable[tuple[str, str, str]], frame: Frame, production: str, kind: str
) -> Iterator[Point]:
    """Points in place of results (check, detector, amplifier) that an earlier run had, and the last one has not."""
    for place in places:
        yield _point(place, {"verdict": "withdrawn", "flag": "", "unit": ""}, frame, production, kind)


def _point(place: tuple[str, str, str], fields: Mapping[str, Field], frame: Frame, production: str, kind: str) -> Point:
    identity = frame.identity
    check, detector, amplifier = place
    if not detector and len(identity.detectors) == 1 and identity.expected_detectors > 1:
        detector = identity.detectors[0]  # one file of several of an exposure: the others say the same of themselves
    tags = {"production": production, "kind": kind, "check": check, "detector": detector, "amplifier": amplifier}
    fields = whole({**fields, "expid": identity.expid}, ("value",))
    return Point("qa", fields, {**tags_of(frame), **tags}, observed_ns(identity.date_obs))
