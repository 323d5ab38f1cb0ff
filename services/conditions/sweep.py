"""The sweep: every condition is looked at, alerts are raised and resolved in the ledger, metrics are written.

One look that fails stops no other: it is a condition itself, and what it would have found stays as it was.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from services.conditions.base import Eye, Finding, OpenAlert, Report, Steady
from services.conditions.daemons import gather, judge
from services.conditions.registry import LOOKS
from services.core.condition_settings import DaemonConditions
from services.core.ledger.alert_words import name_of
from services.core.ledger.alerts import open_alerts, raise_alert, resolve_alert
from services.core.ledger.engine import Ledger
from services.core.ledger.heartbeats import forget_heartbeat, say_alive
from services.core.log import get_logger
from services.core.metrics.spool import Spool
from services.core.settings import Settings

_REFRESH_S: Final = 60.0  # an alert whose numbers change is written again at most so often

_STEP_S: Final = 5.0  # the clock was set by more: what it said before is not compared with what it says now

Look = Callable[[Eye], Report]


def wall_and_steady() -> tuple[float, float]:
    """Seconds since 1970, and those since the host was started, which nobody sets."""
    return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)


class Sweeper:
    """Looks at all conditions of this host, for the notify daemon.

    What it must remember beyond the ledger (trends, since when) is lost with the process and found again.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        spool: Spool,
        looks: Sequence[tuple[str, Look]] = LOOKS,
        clocks: Callable[[], tuple[float, float]] = wall_and_steady,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._spool = spool
        self._looks = tuple(looks)
        self._host = socket.gethostname()
        self._clocks = clocks
        self._clocks_before: tuple[float, float] | None = None
        self._steady = Steady()
        self._memories: dict[str, dict[str, Any]] = {name: {} for name, _ in self._looks}
        self._failed: dict[str, str] = {}
        self._log = get_logger()

    @property
    def _me(self) -> str:
        return f"notify:{self._settings.site}:{self._host}"

    def sweep(self, now: float) -> None:
        """Look once; `now` is seconds since 1970 UTC.

        Raises
        ------
        LedgerUnreachable
            The ledger does not answer: nothing can be raised, nothing is over.
        """
        self._watch_the_clock(now)
        reports: list[Report] = []
        failures: list[Finding] = []
        with self._ledger.read() as conn:
            known = {
                row.alert: OpenAlert(row.severity, row.message, row.raised_at, row.updated_at, row.details or {})
                for row in open_alerts(conn)
            }
        for name, look in self._looks:
            eye = Eye(self._settings, self._ledger, self._host, now, self._memories[name], known, self._steady)
            try:
                reports.append(look(eye))
            except Exception as error:  # noqa: BLE001  whatever it is, the other looks go on, and a person hears of it
                reason = " ".join(str(error).split())[:300]
                text = f"nobody looks at {name} on {self._host}: {type(error).__name__}: {reason}"
                if self._failed.get(name) != text:  # once, not at every look
                    self._log.exception("look failed", look=name)
                self._failed[name] = text
                failures.append(Finding(self._failure(name), text, 2))
            else:
                self._failed.pop(name, None)
        reports.append(Report(tuple(self._failure(name) for name, _ in self._looks), tuple(failures)))
        self._write(reports, known, now)
        self._spool.write_points([point for report in reports for point in report.points])

    def _watch_the_clock(self, now: float) -> None:
        wall, steady = self._clocks()
        before, self._clocks_before = self._clocks_before, (wall, steady)
        if before is None:
            self._steady = Steady(begun_at=now)
        elif abs((wall - before[0]) - (steady - before[1])) > _STEP_S:
            self._steady = Steady(begun_at=now, set_at=now)

    def close(self, now: float) -> None:
        """The daemon is being stopped by a person: nobody is to miss this host's sweeps."""
        with self._ledger.begin() as conn:
            forget_heartbeat(conn, self._me, now, "nightferry notify was stopped")

    def _failure(self, look: str) -> str:
        return f"daemon:{self._host}/sweep:{look}"

    def _write(self, reports: Sequence[Report], known: Mapping[str, OpenAlert], now: float) -> None:
        findings = {name_of(finding.alert): finding for report in reports for finding in report.findings}
        over = _over(reports, findings, known)
        settings = self._settings.conditions.daemons or DaemonConditions()
        words = judge(gather(self._settings.state_dir / "run"), settings)
        said = {"daemons": [{"name": word.instance, **asdict(word)} for word in words]}
        with self._ledger.begin() as conn:
            for alert, finding in findings.items():
                if _news(finding, known.get(alert), now):
                    raise_alert(conn, alert, finding.message, now, finding.severity, finding.details)
            for alert in over:
                resolve_alert(conn, alert, now)
            say_alive(conn, self._me, said, now)


def _over(reports: Iterable[Report], found: Mapping[str, Finding], known: Mapping[str, OpenAlert]) -> list[str]:
    owned = {name for report in reports for name in report.owned}
    prefixes = tuple(name for name in owned if name.endswith(":"))
    return [alert for alert in known if alert not in found and (alert in owned or alert.startswith(prefixes))]


def _news(finding: Finding, known: OpenAlert | None, now: float) -> bool:
    """Whether the ledger must hear of a finding: it is new, graver, or its numbers have changed for a while."""
    if known is None or known.severity != finding.severity:
        return True
    return known.message != finding.message and not 0 <= now - known.updated_at < _REFRESH_S
