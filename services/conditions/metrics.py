"""The metrics spool of this host: points that nobody takes, and that will be lost.

Dashboards that stand still look like a quiet night: a token that has expired, or a bucket that was deleted, must reach
a person in another way.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from services.conditions.base import Eye, Finding, OpenAlert, Report, above, words_of_time
from services.core.condition_settings import MetricsConditions

_FULL: Final = 0.9  # of what the spool may hold


@dataclass(frozen=True)
class SpoolFacts:
    """Points that wait, the number of the oldest block, how full the spool is (0 to 1).

    `moves`: something has left it since the last look, or it is empty; else `stuck_s` says for how long nothing has.
    """

    waiting: int
    oldest: int | None
    full: float
    moves: bool = True
    stuck_s: float = 0.0


def read_spool(path: Path, keep_points: int, keep_bytes: int) -> SpoolFacts:
    """What lies in the spool; nothing where there is none.

    Raises
    ------
    sqlite3.Error
        It cannot be read.
    """
    if not path.exists():
        return SpoolFacts(0, None, 0.0)
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
        points, size = connection.execute("SELECT points, bytes FROM totals").fetchone()
        oldest = connection.execute("SELECT min(id) FROM blocks").fetchone()[0]
    return SpoolFacts(points, oldest, max(points / keep_points, size / keep_bytes))


def compare(facts: SpoolFacts, memory: dict[str, Any], steady: float) -> SpoolFacts:
    """With what `memory` holds of the last look; `steady` is a clock that nobody sets, in seconds.

    A spool that is full moves by itself, because its oldest points go: that is not taken for a delivery.
    """
    before, since = memory.get("stuck", (facts.oldest, steady))
    moves = facts.oldest is None or (facts.oldest != before and facts.full < _FULL)
    since = steady if moves else since
    memory["stuck"] = (facts.oldest, since)
    return replace(facts, moves=moves, stuck_s=steady - since)


def decide(
    facts: SpoolFacts, settings: MetricsConditions, host: str, server: str, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    """Findings about the spool; `server` is where it is drained to."""
    alert = f"daemon:{host}/metrics:undelivered"
    full = above(facts.full, _FULL, is_open=alert in open_)
    long = facts.stuck_s > settings.undelivered_s
    # A process that has just begun to look has not seen it for long, but it was told already.
    late = long or (alert in open_ and not facts.moves)
    if not full and not late:
        return []
    since = f"for {words_of_time(facts.stuck_s)}" if long else "any more"
    text = f"{server} has not taken the metrics of {host} {since}: {facts.waiting} points wait"
    room = f", and the spool is {facts.full:.0%} full: the oldest go" if full else ""
    details = {"value": facts.stuck_s, "limit": settings.undelivered_s, "unit": "s"}
    return [Finding(alert, f"{text}{room} (nightferry metrics drain says why)", 1, details)]


def look(eye: Eye) -> Report:
    """See the module; only where the spool is drained."""
    owned = (f"daemon:{eye.host}/metrics:",)
    settings, metrics = eye.settings.conditions.metrics, eye.settings.metrics
    if settings is None or metrics.influxdb is None:
        return Report(owned)
    facts = read_spool(eye.settings.metrics_spool, metrics.keep_points, metrics.keep_bytes)
    facts = compare(facts, eye.memory, time.clock_gettime(time.CLOCK_BOOTTIME))
    return Report(owned, tuple(decide(facts, settings, eye.host, metrics.influxdb.url, eye.open)))
