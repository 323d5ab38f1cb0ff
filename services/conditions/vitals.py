"""What a site says of itself to the other one: its daemons, its grave alerts, and whether it can tell its own people.

The shipper puts it into the receiver's inbox, the receiver lays it out beside its status: the same document, composed
by the same rules.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, func, or_, select

from services.conditions.base import words_of_time
from services.conditions.daemons import DaemonFacts, DaemonWord, gather, judge
from services.conditions.relay import is_passed_on
from services.core.condition_settings import DaemonConditions, HeartbeatConditions
from services.core.ledger.alert_schema import notifications
from services.core.ledger.alerts import open_alerts
from services.core.ledger.engine import Ledger, now
from services.core.ledger.heartbeats import AHEAD_S, heartbeat_rows
from services.core.process import boot_id
from services.core.settings import Settings
from services.core.version import SOFTWARE
from transfer.durable import write_whole
from transfer.heartbeat import AlertSaid, DaemonSaid, Heartbeat

_STUCK_S: Final = 900.0  # a message that has not gone for so long does not reach anybody
_NUMBERS: Final = threading.Lock()


@dataclass(frozen=True)
class Facts:
    """How the site is.

    Attributes
    ----------
    words
        The daemons of this host.
    alerts
        The ledger's open alerts.
    stuck
        Messages that do not reach anybody.
    away_s
        For how long the notify daemon of this host has not run, seconds.
    hosts
        Other hosts of the ledger, by name: seconds since their notify daemon's last sweep.
    """

    words: Sequence[DaemonWord] = ()
    alerts: Sequence[Any] = ()
    stuck: int = 0
    away_s: float = 0.0
    hosts: Mapping[str, float] = field(default_factory=dict)


def compose(settings: Settings, facts: Facts, number: int, every_s: float, at: float) -> Heartbeat:
    """What is said, `at` seconds since 1970; `every_s` is when the next one will be."""
    away_s = _patience(settings).away_s
    # Other hosts sweep every `poll_s`; this one's daemon can be seen.
    gone = {host: age_s for host, age_s in facts.hosts.items() if age_s > away_s + 2 * settings.conditions.poll_s}
    here = settings.alerts is not None and (_notifies(facts.words) or facts.away_s < away_s)
    elsewhere = len(gone) < len(facts.hosts)
    grave = [row for row in facts.alerts if row.severity == 2 and not is_passed_on(row.alert)]
    daemons = [DaemonSaid(word.instance, word.state, _clean(word.status)) for word in facts.words]
    daemons += [
        DaemonSaid(f"notify on {host}", "missing", f"has not swept for {words_of_time(age_s)}")
        for host, age_s in sorted(gone.items())
    ]
    return Heartbeat(
        site=settings.site,
        host=socket.gethostname(),
        number=number,
        written=datetime.fromtimestamp(at, UTC),
        every_s=every_s,
        software=SOFTWARE,
        daemons=tuple(daemons),
        alerts=tuple(
            AlertSaid(_clean(row.alert), _clean(row.message), datetime.fromtimestamp(row.raised_at, UTC))
            for row in grave
        ),
        tells=(here or elsewhere) and not facts.stuck,
    )


class Vitals:
    """Composes this host's heartbeats; `number_file`, below the state directory, keeps their number."""

    def __init__(self, settings: Settings, ledger: Ledger, number_file: str) -> None:
        self._settings = settings
        self._ledger = ledger
        self._number_file = settings.state_dir / number_file
        self._notified: float | None = None  # when the notify daemon was last seen running

    def heartbeat(self, every_s: float) -> Heartbeat:
        """The next one; `every_s` is when the one after it will be.

        Raises
        ------
        LedgerUnreachable
            What is open cannot be known.
        OSError
            The number cannot be kept.
        """
        at, settings = now(), self._settings
        daemons = gather(settings.state_dir / "run")
        words = judge(daemons, settings.conditions.daemons or DaemonConditions())
        with self._ledger.read() as conn:
            alerts, stuck = open_alerts(conn), stuck_messages(conn, at)
            hosts = other_hosts(heartbeat_rows(conn), settings.site, socket.gethostname(), at)
        if _notifies(words):
            self._notified = time.monotonic()
        elif self._notified is None:
            self._notified = time.monotonic() - _quiet_s(daemons)
        self._number_file.parent.mkdir(parents=True, exist_ok=True)
        number, away_s = next_number(self._number_file, at), time.monotonic() - self._notified
        return compose(settings, Facts(words, alerts, stuck, away_s, hosts), number, every_s, at)


def _quiet_s(daemons: Sequence[DaemonFacts]) -> float:
    """For how long the notify daemon was away when we were started; after a start of the host it has yet to come."""
    boot = boot_id()
    ages_s = [each.silent_s for each in daemons if each.pulse.daemon == "notify" and each.pulse.boot == boot]
    return min(ages_s, default=0.0)


def next_number(path: Path, at: float) -> int:
    """A number larger than all before it, kept in a file; without the file, or with one from the future, the time's.

    Receivers refuse a number of the past, and one more than a day ahead: this one suits them after a lost disk and
    after a clock that was wrong by years.
    """
    fresh = int(at * 1000.0)
    with _NUMBERS:
        try:
            last = int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            last = 0
        number = fresh if last > fresh + AHEAD_S * 1000.0 else max(last + 1, fresh)
        write_whole(path, f"{number}\n".encode())
    return number


def other_hosts(rows: Mapping[str, Row], site: str, host: str, at: float) -> dict[str, float]:
    """Seconds since the last sweep of every other host whose notify daemon tells of this ledger.

    A time that is still to come counts as so long ago: a host with a wrong clock must not be alive for ever.
    """
    mine = f"notify:{site}:"
    return {
        who.removeprefix(mine): abs(at - row.at)
        for who, row in rows.items()
        if who.startswith(mine) and who != mine + host
    }


def stuck_messages(conn: Connection, at: float) -> int:
    """Messages that should have gone long ago, or were given up lately."""
    late = notifications.c.state.in_(("waiting", "sending")) & (notifications.c.created_at < at - _STUCK_S)
    late = late & (notifications.c.not_before < at) & (notifications.c.attempts > 0)
    failed = (notifications.c.state == "failed") & (notifications.c.updated_at > at - _STUCK_S)
    return conn.execute(select(func.count()).select_from(notifications).where(or_(late, failed))).scalar_one()


def _patience(settings: Settings) -> HeartbeatConditions:
    return settings.conditions.heartbeat or HeartbeatConditions()


def _notifies(words: Sequence[DaemonWord]) -> bool:
    return any(word.daemon == "notify" and word.state == "running" for word in words)


def _clean(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())
