"""The task `check`: every check of a frame, into the ledger and the metrics."""

from __future__ import annotations

import logging
import math
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row

from processors.check_frame import check_frame
from processors.checks.result import CheckResult
from processors.instrument import Instruments
from services.core.ledger import centre
from services.core.ledger.states import advance
from services.core.metrics.spool import Point
from services.core.settings import Settings
from services.worker.tasks import Input, Outcome, open_frame, tags_of


def check(
    row: Row,
    inputs: list[Input],
    _: Settings,
    instruments: Instruments,
    log: logging.Logger,
) -> Outcome:
    """Check one frame. A frame out of its limits is a result, not a failure of the task."""
    (item,) = inputs
    frame = open_frame(item.path, instruments)
    results = check_frame(item.path, instruments)
    for result in results:
        if result.verdict != "ok":
            log.warning(
                "%s %s/%s: %s %s", result.check, result.detector, result.amplifier, result.verdict, result.message
            )
    log.info("%s: %s", item.path.name, dict(Counter(result.verdict for result in results)))

    def settle(conn: Connection, now: float) -> None:
        centre.set_qa(conn, row.task, [_qa_row(item.sha256, result) for result in results])
        advance_if(conn, item.sha256, "arrived", "checked", now)

    tags = {**tags_of(frame), "production": row.production}
    time_ns = observed_ns(frame.identity.date_obs)
    points = [_point(result, tags, frame.identity.expid, time_ns) for result in results]
    return Outcome(settle, tags_of(frame), points)


def advance_if(conn: Connection, sha256: str, came_from: str, to: str, now: float) -> None:
    """Move a frame on, unless an earlier run of the task has done so."""
    if centre.frame_state(conn, sha256) == came_from:
        advance(conn, "frame", sha256, to, now=now)


def observed_ns(date_obs: str) -> int:
    """Start of an exposure (ISO, UTC) in nanoseconds since 1970."""
    start = datetime.fromisoformat(date_obs)
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    return round(start.timestamp() * 1e6) * 1000


def _qa_row(sha256: str, result: CheckResult) -> dict[str, Any]:
    finite = result.value is not None and math.isfinite(result.value)
    return {
        "sha256": sha256,
        "check": result.check,
        "detector": result.detector,
        "amplifier": result.amplifier,
        "value": float(result.value) if finite and result.value is not None else None,
        "unit": result.unit,
        "verdict": result.verdict,
        "flag": result.flag,
        "limits": None if result.limits is None else list(result.limits),
        "message": result.message,
    }


def _point(result: CheckResult, tags: dict[str, str], expid: int, time_ns: int) -> Point:
    fields: dict[str, float | int | str] = {"verdict": result.verdict, "expid": expid}
    if result.value is not None:
        fields["value"] = float(result.value)
    more = {"check": result.check, "detector": result.detector, "amplifier": result.amplifier}
    return Point("qa", fields, {**tags, **more, "unit": result.unit, "flag": result.flag}, time_ns)
