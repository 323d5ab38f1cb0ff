"""The telescope's sign of life: a small document that the settling thread of a route puts into the receiver's inbox."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, func, or_, select

from services.conditions.daemons import DaemonWord, gather, judge
from services.core.condition_settings import DaemonConditions
from services.core.errors import LedgerUnreachable
from services.core.ledger.alert_schema import notifications
from services.core.ledger.alerts import open_alerts
from services.core.ledger.engine import Ledger, now
from services.core.ledger.heartbeats import AHEAD_S, hear_receiver
from services.core.log import get_logger
from services.core.settings import Settings
from services.core.version import SOFTWARE
from transfer.durable import write_whole
from transfer.errors import BadDocument, TransferError, Unreachable
from transfer.heartbeat import AlertSaid, DaemonSaid, Heartbeat, file_name, seal
from transfer.remotes.base import Remote
from transfer.signature import load_private
from transfer.status import ReceiverStatus

_STUCK_S: Final = 900.0  # a message that has not gone for so long does not reach anybody
_TRIED_S: Final = 30.0
_AWAY_S: Final = 120.0  # a notify daemon that is started again is away for less, and nobody else need tell for it
_NUMBERS: Final = threading.Lock()


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


def compose(
    settings: Settings,
    number: int,
    words: Sequence[DaemonWord],
    alerts: Sequence[Any],
    stuck: int,
    at: float,
    away_s: float = math.inf,
) -> Heartbeat:
    """What is said.

    Parameters
    ----------
    alerts
        The ledger's open alerts.
    stuck
        Messages that do not reach anybody.
    away_s
        For how long the notify daemon has not run, seconds.
    """
    heartbeat = settings.conditions.heartbeat
    told = _notifies(words) or away_s < _AWAY_S
    grave = [row for row in alerts if row.severity == 2]
    return Heartbeat(
        site=settings.site,
        host=socket.gethostname(),
        number=number,
        written=datetime.fromtimestamp(at, UTC),
        every_s=heartbeat.every_s if heartbeat is not None else 0.0,
        software=SOFTWARE,
        daemons=tuple(DaemonSaid(word.instance, word.state, _clean(word.status)) for word in words),
        alerts=tuple(
            AlertSaid(_clean(row.alert), _clean(row.message), datetime.fromtimestamp(row.raised_at, UTC))
            for row in grave
        ),
        tells=told and not stuck and settings.alerts is not None,
    )


def _notifies(words: Sequence[DaemonWord]) -> bool:
    return any(word.daemon == "notify" and word.state == "running" for word in words)


def _clean(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())


def stuck_messages(conn: Connection, at: float) -> int:
    """Messages that should have gone long ago, or were given up lately."""
    late = notifications.c.state.in_(("waiting", "sending")) & (notifications.c.created_at < at - _STUCK_S)
    late = late & (notifications.c.not_before < at) & (notifications.c.attempts > 0)
    failed = (notifications.c.state == "failed") & (notifications.c.updated_at > at - _STUCK_S)
    return conn.execute(select(func.count()).select_from(notifications).where(or_(late, failed))).scalar_one()


class Herald:
    """One route's heartbeats. A heartbeat that the receiver does not take stops no receipt."""

    def __init__(self, route: str, settings: Settings, ledger: Ledger) -> None:
        self._route = route
        self._settings = settings
        self._ledger = ledger
        self._log = get_logger()
        self._called = float("-inf")
        self._tried = float("-inf")
        self._complaint = ""
        self._notified = time.monotonic()  # when the notify daemon was last seen running

    def due(self) -> bool:
        """Whether it is time for one."""
        heartbeat = self._settings.conditions.heartbeat
        return heartbeat is not None and time.monotonic() - self._called >= heartbeat.every_s

    @property
    def listens(self) -> bool:
        """Whether the receiver's own sign of life is looked for."""
        return self._settings.conditions.heartbeat is not None

    def heard(self, status: ReceiverStatus | None) -> None:
        """What the receiver's status said when it was looked at: it is alive when that has changed."""
        if self.listens:
            with self._ledger.begin() as conn:
                hear_receiver(conn, self._route, None if status is None else status.written.timestamp(), now())

    def in_vain(self) -> None:
        """The receiver could not be asked: it is being listened for all the same."""
        if time.monotonic() - self._tried < _TRIED_S:
            return
        self._tried = time.monotonic()
        with contextlib.suppress(LedgerUnreachable):
            self.heard(None)

    def call(self, remote: Remote) -> None:
        """Put a heartbeat into the receiver's inbox.

        Raises
        ------
        Unreachable
            Nobody answers.
        """
        site, state = self._settings.site, self._settings.state_dir
        try:
            data = seal(self._heartbeat(), self._key())
            local = state / "run" / f"{self._route}.heartbeat"
            local.parent.mkdir(parents=True, exist_ok=True)
            write_whole(local, data)
            remote.put(local, f"inbox/{file_name(site)}")
            self._complaint = ""
        except Unreachable:
            raise
        except (TransferError, OSError) as error:
            if str(error) != self._complaint:
                self._log.error("no heartbeat", reason=str(error))
            self._complaint = str(error)
        self._called = time.monotonic()

    def _heartbeat(self) -> Heartbeat:
        at, state = now(), self._settings.state_dir
        words = judge(gather(state / "run"), self._settings.conditions.daemons or DaemonConditions())
        with self._ledger.read() as conn:
            alerts, stuck = open_alerts(conn), stuck_messages(conn, at)
        (state / "run").mkdir(parents=True, exist_ok=True)
        if _notifies(words):
            self._notified = time.monotonic()
        number, away_s = next_number(state / "run" / "heartbeat.number", at), time.monotonic() - self._notified
        return compose(self._settings, number, words, alerts, stuck, at, away_s)

    def _key(self) -> Ed25519PrivateKey | None:
        night = self._settings.night
        if night is None:
            return None
        try:
            return load_private(night.key_file)
        except BadDocument:
            if night.key_file.exists():
                raise
            return None  # not made yet: `config check` and the end of night say so
