"""The notify daemon: decides who is to be told what, sends it, and is never silent, not even without the ledger."""

from __future__ import annotations

import contextlib
import queue
import time
from pathlib import Path

from services.alerts.clerk import Clerk
from services.alerts.delivery import Job, Outcome
from services.alerts.lastresort import LastResort
from services.alerts.points import notification_points
from services.alerts.sender import Sender, Words
from services.alerts.sweeping import Sweeping
from services.core.alert_settings import AlertSettings
from services.core.daemon import Daemon
from services.core.errors import BadSettings
from services.core.ledger.engine import now
from services.core.metrics.spool import Spool
from services.core.settings import Settings, load_settings

_LAST_WORDS_S = 5.0  # what is being sent when the daemon is stopped may end and be written down


class Notifier:
    """The main thread: watches the clerk, and speaks in its place when the ledger is away for too long."""

    def __init__(self, daemon: Daemon, settings: Settings, alerts: AlertSettings, spool: Spool, file: Path) -> None:
        self._daemon = daemon
        self._settings = settings
        self._alerts = alerts
        self._spool = spool
        self._file = file
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._sender = Sender(alerts, Words.of(settings.site, alerts), self._on_outcome)
        self._clerk = Clerk(settings, alerts, spool, self._sender)
        self._sweeping = Sweeping(settings, spool, self._clerk)
        self._resort = LastResort(settings.state_dir / "notify.json", alerts)
        self._began = time.monotonic()

    def run(self) -> None:
        """Until the stop signal; messages on their way are given a moment to arrive."""
        self._clerk.start()
        self._sweeping.start()
        self._daemon.ready()
        while True:
            self._step()
            if self._daemon.wait(min(1.0, self._alerts.poll_s)):
                break
        self._sweeping.stop()
        self._sender.wait_until_idle(_LAST_WORDS_S)
        self._clerk.stop(_LAST_WORDS_S)

    def _on_outcome(self) -> None:
        self._clerk.wake.set()
        self._daemon.wake.set()

    def _step(self) -> None:
        if self._daemon.reload.is_set():
            self._daemon.reload.clear()
            self._read_settings_again()
        with contextlib.suppress(queue.Empty):
            while True:
                outcome = self._outcomes.get_nowait()
                self._resort.settle(outcome, now())
                self._spool.write_points(notification_points([outcome], now()))
        for job in self._without_ledger():
            self._sender.submit(job, self._outcomes)
        self._sweeping.tell_if_silent()
        self._daemon.beat(f"ledger away: {self._clerk.trouble}" if self._clerk.trouble else self._clerk.status)

    def _without_ledger(self) -> list[Job]:
        good_at = self._clerk.good_at
        silent_s = time.monotonic() - (self._began if good_at is None else good_at)
        if silent_s >= max(self._alerts.ledger_patience_s, 2 * self._alerts.poll_s):
            return self._resort.away(self._clerk.trouble or "no answer at all", now() - silent_s, now())
        if good_at is not None and not self._clerk.trouble:
            return self._resort.back(now())
        return []

    def _read_settings_again(self) -> None:
        try:
            alerts = load_settings(self._file).alerts
            if alerts is None:
                raise BadSettings((f"{self._file}: alerts: is missing",))
            words = Words.of(self._settings.site, alerts)
        except (BadSettings, OSError) as error:
            self._daemon.log.error("settings not taken, the old ones hold", reason=str(error))
            return
        self._alerts = self._clerk.alerts = alerts
        self._sender.use(alerts, words)
        self._resort.use(alerts)
        self._daemon.log.info("settings of alerts read again")
