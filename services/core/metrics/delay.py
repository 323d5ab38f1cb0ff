"""How long after the shutter closed a frame was seen, arrived, checked, reduced: points of measurement `delay`.

Each step writes its own field when it happens, at the same time stamp (the start of the exposure) and with the same
tags, so that the steps of one host are one point.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from services.core.metrics.spool import Point

Step = Literal["seen", "arrived", "checked", "reduced"]


def observed_ns(date_obs: str) -> int:
    """Start of an exposure (ISO, UTC) in nanoseconds since 1970."""
    start = datetime.fromisoformat(date_obs)
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    return round(start.timestamp() * 1e6) * 1000


def delay_point(identity: Mapping[str, Any], step: Step, now: float) -> Point:
    """The point of one step.

    Parameters
    ----------
    identity
        That of a frame, as the ledger keeps it: `date_obs`, `exptime_s`, `instrument`, `obstype`, `filter`.
    now : float
        When the step was done, in seconds since 1970 UTC.
    """
    start_ns = observed_ns(identity["date_obs"])
    closed = start_ns / 10**9 + identity["exptime_s"]
    tags = {key: str(identity[key]) for key in ("instrument", "obstype", "filter")}
    return Point("delay", {f"{step}_s": round(now - closed, 6)}, tags, start_ns)
