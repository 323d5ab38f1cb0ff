"""Disks: full, soon full, out of inodes, read-only, or not there."""

from __future__ import annotations

import os
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import make_url

from services.conditions.base import Eye, Finding, OpenAlert, Report, below, grade, words_of_bytes, words_of_time
from services.conditions.patience import Patience, Silent
from services.core.condition_settings import DiskConditions
from services.core.metrics.spool import Point
from services.core.settings import Settings

Trend = Sequence[tuple[float, float]]  # (seconds since 1970, free bytes)

_TREND_S: Final = 3600.0
_TREND_LEAST_S: Final = 600.0
_TREND_POINTS: Final = 60
_ANSWER_S: Final = 5.0


@dataclass(frozen=True)
class DiskPlace:
    """A directory that we use. One that is `lent` is not made by us: when it is missing, its disk is not mounted."""

    name: str
    path: Path
    written: bool = True
    lent: bool = False


@dataclass(frozen=True)
class DiskFacts:
    """The file system at a place. `fault` says why nothing is known of it; `inodes` is 0 where there is no limit."""

    place: DiskPlace
    device: int = 0
    total: int = 0
    free: int = 0
    inodes: int = 0
    free_inodes: int = 0
    readonly: bool = False
    fault: str | None = None
    trend: Trend = ()

    @property
    def free_fraction(self) -> float:
        """Of the whole disk, 0 to 1."""
        return self.free / self.total if self.total else 0.0


def places(settings: Settings) -> Iterator[DiskPlace]:
    """Every directory of the settings that may run full."""
    yield DiskPlace("state", settings.state_dir)
    url = make_url(settings.ledger.url)
    if url.drivername.startswith("sqlite"):
        yield DiskPlace("ledger", Path(str(url.database)).parent)
    if settings.archive_dir is not None:
        yield DiskPlace("archive", settings.archive_dir)
    if settings.receive is not None:
        yield DiskPlace("inbox", settings.receive.root)
    if settings.work is not None:
        yield DiskPlace("products", settings.work.products_dir)
        yield DiskPlace("tasklogs", settings.work.log_dir)
    for index, directory in enumerate(settings.watch.dirs if settings.watch is not None else ()):
        yield DiskPlace("camera" if index == 0 else f"camera-{index + 1}", directory, written=False, lent=True)
    for name, route in settings.routes.items():
        if route.url.startswith("file:") and route.receipts == "readback":
            yield DiskPlace(f"route-{name}", Path(route.url.removeprefix("file://")), lent=True)


def examine(place: DiskPlace) -> DiskFacts:
    """What the system says of the disk at a place; OSError when it says nothing."""
    path = place.path
    while not place.lent and not path.exists() and path != path.parent:
        path = path.parent  # not made yet: it will be, on this disk
    device = path.stat().st_dev
    found = os.statvfs(path)
    return DiskFacts(
        place=place,
        device=device,
        total=found.f_blocks * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        free_inodes=found.f_favail,
        readonly=bool(found.f_flag & os.ST_RDONLY),
    )


def gather(
    where: Sequence[DiskPlace],
    ask: Callable[[str, Callable[[], DiskFacts]], DiskFacts],
    trends: dict[str, deque[tuple[float, float]]],
    now: float,
) -> list[DiskFacts]:
    """Every file system once, under the name of the first place on it; `trends` gets the free bytes of now."""
    found: list[DiskFacts] = []
    devices: set[int] = set()
    for place in where:
        try:
            facts = ask(place.name, lambda place=place: examine(place))  # type: ignore[misc]
        except (OSError, Silent) as error:
            found.append(DiskFacts(place, fault=getattr(error, "strerror", None) or str(error)))
            continue
        if facts.device in devices:
            continue
        devices.add(facts.device)
        trend = trends.setdefault(place.name, deque())
        trend.append((now, float(facts.free)))
        while not now - _TREND_S <= trend[0][0] <= now:
            trend.popleft()
        found.append(replace(facts, trend=tuple(trend)))
    return found


def hours_until_full(trend: Trend) -> float | None:
    """When a disk will be full if it goes on as in the last hour; None when that cannot be said, or never.

    The slope is the median of those of all pairs (Theil 1950, Sen 1968), so that one big file within the hour is no
    trend; and no more than that of the highest and of the lowest values of its halves, so that a disk on which somebody
    cleans up again and again, which fills most of the time, is none either. At least ten minutes are asked for.
    """
    if len(trend) < 5 or trend[-1][0] - trend[0][0] < _TREND_LEAST_S:
        return None
    step = -(-len(trend) // _TREND_POINTS)
    points = list(reversed(trend[::-1][::step]))
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for number, earlier in enumerate(points)
        for later in points[number + 1 :]
        if later[0] > earlier[0]
    ]
    half = len(points) // 2
    apart_s = points[-half][0] - points[0][0]
    first, second = ([free for _, free in part] for part in (points[:half], points[-half:]))
    envelope = [(edge(second) - edge(first)) / apart_s for edge in (max, min)] if apart_s > 0 else [0.0]
    slope = max(statistics.median(slopes) if slopes else 0.0, *envelope)
    return trend[-1][1] / -slope / 3600.0 if slope < 0 else None


def decide(
    facts: Sequence[DiskFacts], settings: DiskConditions, host: str, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    """Findings of every disk."""
    findings: list[Finding] = []
    for disk in facts:
        alert, name = f"disk:{host}:{disk.place.name}", f"disk of {disk.place.name} on {host} ({disk.place.path})"
        if disk.fault is not None:
            findings.append(Finding(f"{alert}:gone", f"{name} cannot be read: {disk.fault}", 2))
            continue
        if disk.readonly and disk.place.written:
            findings.append(Finding(f"{alert}:readonly", f"{name} is mounted read-only", 2))
        full = _full(disk, settings, f"{alert}:full", name, open_)
        findings += full or _filling(disk, settings, f"{alert}:filling", name, open_)
        limit = settings.free_inodes_fraction
        if limit is not None and disk.inodes:
            fraction, inodes = disk.free_inodes / disk.inodes, f"{alert}:inodes"
            if below(fraction, limit, is_open=inodes in open_):
                text = f"{name} has {disk.free_inodes} inodes left ({fraction:.1%}): too many small files"
                findings.append(Finding(inodes, text, 2, _details(100 * fraction, 100 * limit, "%")))
    return findings


def _full(
    disk: DiskFacts, settings: DiskConditions, alert: str, name: str, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    before = open_[alert].severity if alert in open_ else None
    severity = grade(disk.free_fraction, settings.free_fraction, settings.grave_free_fraction, before, rising=False)
    limits = {1: settings.free_fraction, 2: settings.grave_free_fraction}
    limit, value, unit = limits.get(severity or 1) or 0.0, disk.free_fraction, "%"
    least = settings.free_gb
    if severity is None and least is not None and below(disk.free / 1e9, least, is_open=before is not None):
        severity, limit, value, unit = 1, least, disk.free / 1e9, "GB"
    if severity is None:
        return []
    text = f"{name} has {words_of_bytes(disk.free)} left of {words_of_bytes(disk.total)} ({disk.free_fraction:.1%})"
    if unit == "GB":
        return [Finding(alert, text, severity, _details(value, limit, unit) | _trend(disk, 1e-9, "GB"))]
    details = _details(100 * value, 100 * limit, unit) | _trend(disk, 100 / disk.total if disk.total else 0.0, unit)
    return [Finding(alert, text, severity, details)]


def _filling(
    disk: DiskFacts, settings: DiskConditions, alert: str, name: str, open_: Mapping[str, OpenAlert]
) -> list[Finding]:
    hours, limit = hours_until_full(disk.trend), settings.full_within_h
    if hours is None or limit is None or not below(hours, limit, is_open=alert in open_, back=0.5):
        return []
    text = f"{name} will be full in {words_of_time(3600 * hours)} if it goes on as in the last hour"
    left = f"{words_of_bytes(disk.free)} are left"
    return [Finding(alert, f"{text}; {left}", 1, _details(hours, limit, "h") | _trend(disk, 1e-9, "GB"))]


def _details(value: float, limit: float, unit: str) -> dict[str, Any]:
    return {"value": value, "limit": limit, "unit": unit}


def _trend(disk: DiskFacts, scale: float, unit: str) -> dict[str, Any]:
    """What was free in the last hour, bytes times `scale`."""
    step = max(1, len(disk.trend) // _TREND_POINTS)
    return {"trend": [[time, free * scale] for time, free in disk.trend[::step]], "trend_unit": unit}


def measure(facts: Sequence[DiskFacts], host: str) -> list[Point]:
    """One point per file system."""
    return [
        Point(
            "disk",
            {"free_bytes": disk.free, "used_fraction": 1.0 - disk.free_fraction},
            {"place": disk.place.name, "host": host},
        )
        for disk in facts
        if disk.fault is None
    ]


def look(eye: Eye) -> Report:
    """See the module."""
    owned = (f"disk:{eye.host}:",)
    settings = eye.settings.conditions.disks
    if settings is None:
        return Report(owned)
    patience: Patience[DiskFacts] = eye.memory.setdefault("patience", Patience(_ANSWER_S))
    facts = gather(list(places(eye.settings)), patience.ask, eye.memory.setdefault("trends", {}), eye.now)
    findings = decide(facts, settings, eye.host, eye.open)
    return Report(owned, tuple(findings), tuple(measure(facts, eye.host)))
