"""The transfer as the telescope sees it: frames that do not get away, frames that do not come, files set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from sqlalchemy import Connection, select

from services.conditions.base import (
    Eye,
    Finding,
    OpenAlert,
    Report,
    above,
    grade,
    is_sole,
    listed,
    words_of_bytes,
    words_of_time,
)
from services.conditions.expected import BadPlan, expected_since, read_plan
from services.core.condition_settings import BacklogCondition, ConditionSettings, NoFrameCondition
from services.core.ledger import shipping
from services.core.ledger.alert_schema import mutes
from services.core.ledger.schema import files, frames
from services.core.ledger.shipping import Wanting
from services.core.metrics.spool import Point
from services.core.route_settings import RouteSettings
from services.routes.book import RouteBook

NO_FRAME: Final = "transfer:no_frame"
PLAN: Final = "transfer:plan"
QUARANTINED: Final = "transfer:quarantined"
_NOT_ACCEPTED: Final = ("packed", "sent", "held", "refused")
_ABORTED_S: Final = 21_600.0  # a sequence that has not gone on for so long was given up


@dataclass(frozen=True)
class Backlog:
    """What a route has not delivered. `oldest_at` is when the oldest frame was seen, seconds since 1970 UTC."""

    route: str
    frames: int
    size: int
    oldest_at: float | None
    paused: bool = False
    at_the_end_of_night: bool = False


@dataclass(frozen=True)
class Camera:
    """What is known of the camera.

    `newest_at` is when its newest frame was seen and `exptime_s` its exposure; `expected_since` when the plan began to
    expect frames; `sequence` the one whose last exposure is still to come.
    """

    newest_at: float | None
    exptime_s: float = 0.0
    expected_since: float | None = None
    sequence: str | None = None
    off: bool = False
    plan_fault: str | None = None


def backlogs(conn: Connection, routes: Mapping[str, RouteSettings], wanting: Wanting) -> list[Backlog]:
    """The backlog of every route."""
    found = []
    for name, route in routes.items():
        waiting = shipping.waiting_for_route(conn, name, lossless=route.needs_lossless)
        rows = {row.sha256: row for row in waiting if name in wanting(row)}
        undelivered = shipping.bundles_of(conn, name, *_NOT_ACCEPTED)
        for members in shipping.frames_in(conn, [row.bundle for row in undelivered]).values():
            rows.update((row.sha256, row) for row in members)
        oldest = min((row.created_at for row in rows.values()), default=None)
        size = sum(row.size for row in rows.values())
        found.append(Backlog(name, len(rows), size, oldest, route.paused, route.mode == "endofnight"))
    return found


def camera(conn: Connection, settings: NoFrameCondition, now: float) -> Camera:
    """The newest frame, and whether more are expected."""
    query = select(frames.c.created_at, frames.c.identity).order_by(frames.c.created_at.desc(), frames.c.expid.desc())
    newest = conn.execute(query.limit(1)).one_or_none()
    plan, fault = None, None
    if settings.plan is not None:
        try:
            plan = read_plan(settings.plan)
        except BadPlan as error:
            fault = str(error)
    muted = conn.execute(select(mutes.c.pattern).where(mutes.c.until > now)).scalars()
    off = any(fnmatchcase(NO_FRAME, pattern) for pattern in muted)
    since = expected_since(settings, plan, now) if fault is None else None
    if newest is None:
        return Camera(None, 0.0, since, None, off, fault)
    sequence = newest.identity.get("sequence")
    in_progress = isinstance(sequence, dict) and sequence["num"] < sequence["total"]
    name = f"{sequence['id']} ({sequence['num']} of {sequence['total']})" if in_progress else None
    return Camera(newest.created_at, float(newest.identity.get("exptime_s") or 0.0), since, name, off, fault)


def _late_s(backlog: Backlog) -> float:
    return 86_400.0 if backlog.at_the_end_of_night else 0.0  # such a route waits for the morning on purpose


def decide_backlog(
    found: Sequence[Backlog], settings: BacklogCondition, now: float, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    """One finding per route whose frames do not get away."""
    findings = []
    for backlog in found:
        alert = f"transfer:backlog:{backlog.route}"
        before = open_[alert].severity if alert in open_ else None
        age_s = 0.0 if backlog.oldest_at is None else max(0.0, now - backlog.oldest_at)
        late_s = _late_s(backlog)
        limit = None if settings.age_s is None else settings.age_s + late_s
        grave = None if settings.grave_age_s is None else settings.grave_age_s + late_s
        severity = grade(age_s, limit, grave, before)
        many = settings.frames is not None and above(backlog.frames, settings.frames, is_open=before is not None)
        if backlog.frames == 0 or (severity is None and not many):
            continue
        text = f"route {backlog.route}: {backlog.frames} frames ({words_of_bytes(backlog.size)}) are not delivered"
        why = "; the route is paused by a person" if backlog.paused else ""
        details = {"value": age_s, "limit": limit, "unit": "s"}
        message = f"{text}, the oldest for {words_of_time(age_s)}{why}"
        findings.append(Finding(alert, message, severity or 1, details))
    return findings


def decide_camera(found: Camera, settings: NoFrameCondition, now: float) -> list[Finding]:
    """Silence of the camera while something expects frames; a plan that cannot be read is told as such.

    A mute that fits the alert's name says that the camera is off: then there is nothing to tell.
    """
    findings = []
    if found.plan_fault is not None:
        findings.append(Finding(PLAN, f"nobody knows when to expect frames: {found.plan_fault}", 1))
    if found.off:
        return findings
    patience_s = settings.after_s + found.exptime_s
    waits = []
    if found.expected_since is not None:
        since = max(found.expected_since, found.newest_at or found.expected_since)
        waits.append((now - since, settings.severity, "the plan expects some"))
    if found.sequence is not None and found.newest_at is not None and now - found.newest_at < _ABORTED_S:
        waits.append((now - found.newest_at, 1, f"sequence {found.sequence} is in progress"))
    for waited_s, severity, why in waits:
        if waited_s > patience_s:
            text = f"no frame for {words_of_time(waited_s)}, though {why}"
            details = {"value": waited_s, "limit": patience_s, "unit": "s"}
            findings.append(Finding(NO_FRAME, text, severity, details))
            break
    return findings


def decide_quarantined(names: Sequence[str], limit: int) -> list[Finding]:
    """One finding for all files that were set aside."""
    if len(names) < limit:
        return []
    text = f"{len(names)} files are in quarantine (nightferry status says why): {listed(sorted(names))}"
    return [Finding(QUARANTINED, text, 1, {"value": len(names), "limit": limit})]


def quarantined(conn: Connection) -> list[str]:
    """Names of the files that the watcher set aside, and of the frames that cannot be read any more."""
    found = conn.execute(select(files.c.path).where(files.c.reason.is_not(None))).scalars()
    lost = conn.execute(select(frames.c.path).where(frames.c.state == "quarantined")).scalars()
    return [path.rpartition("/")[2] for path in (*found, *lost)]


def measure(found: Sequence[Backlog], now: float) -> list[Point]:
    """One point per route."""
    points = []
    for backlog in found:
        oldest_s = 0.0 if backlog.oldest_at is None else max(0.0, now - backlog.oldest_at)
        fields = {"frames": backlog.frames, "bytes": backlog.size, "oldest_s": oldest_s}
        fields["overdue_s"] = max(0.0, oldest_s - _late_s(backlog))
        points.append(Point("backlog", fields, {"route": backlog.route}))
    return points


def look(eye: Eye) -> Report:
    """See the module; only where there are routes."""
    settings: ConditionSettings = eye.settings.conditions
    if not eye.settings.routes:
        return Report(())
    book = RouteBook(eye.settings, eye.ledger)
    routes, wanting = {name: book.get(name) for name in book.names}, book.wanting()
    findings: list[Finding] = []
    with eye.ledger.read() as conn:
        found = backlogs(conn, routes, wanting)
        if settings.backlog is not None:
            believed = [replace(backlog, oldest_at=eye.when(backlog.oldest_at)) for backlog in found]
            findings += decide_backlog(believed, settings.backlog, eye.now, eye.open)
        if settings.no_frame is not None and eye.settings.watch is not None:
            seen = camera(conn, settings.no_frame, eye.now)
            seen = replace(seen, newest_at=eye.when(seen.newest_at))
            findings += decide_camera(seen, settings.no_frame, eye.now)
        if settings.quarantined is not None and eye.settings.watch is not None:
            findings += decide_quarantined(quarantined(conn), settings.quarantined)
    # Another host of the ledger may have routes of its own.
    mine = tuple(f"transfer:backlog:{name}" for name in routes)
    mine += (NO_FRAME, PLAN, QUARANTINED) if eye.settings.watch is not None else ()
    owned = ("transfer:",) if is_sole(eye.settings) else mine
    return Report(owned, tuple(findings), tuple(measure(found, eye.now)))
