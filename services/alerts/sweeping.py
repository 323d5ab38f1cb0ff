"""The conditions of the site, looked at in a thread of their own: a look that hangs does not stop the messages."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

from services.alerts.clerk import Clerk
from services.core.errors import LedgerUnreachable
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, now
from services.core.log import get_logger
from services.core.metrics.spool import Spool
from services.core.settings import Settings

ALERT: Final = "daemon:conditions"
_LAST_WORD_S: Final = 2.0
_LEDGER_S: Final = 60.0


class Sweeping:
    """Calls the sweep of the conditions every `conditions.poll_s`; that it fails, or hangs, is a condition itself."""

    def __init__(self, settings: Settings, spool: Spool, clerk: Clerk) -> None:
        self._settings = settings
        self._spool = spool
        self._clerk = clerk
        self._stop = threading.Event()
        self._done_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="conditions", daemon=True)

    def start(self) -> None:
        """Begin with the sweeps."""
        self._thread.start()

    def stop(self) -> None:
        """No further sweep; nobody is to miss this host's."""
        self._stop.set()
        self._thread.join(_LAST_WORD_S)

    def silent_s(self) -> float:
        """Seconds since the last sweep that ended."""
        return time.monotonic() - self._done_at

    def tell_if_silent(self) -> None:
        """Raise the alert about a sweep that hangs; by the clerk, who alone may hang with the ledger."""
        good_at = self._clerk.good_at
        if good_at is None or time.monotonic() - good_at > _LEDGER_S:
            self._done_at = time.monotonic()  # without the ledger nobody can look, and that is told already
        if self.silent_s() > max(300.0, 4 * self._settings.conditions.poll_s):
            words = f"the conditions of the site were not looked at for {self.silent_s() / 60:.0f} min"
            self._clerk.errands.put(lambda ledger: _say(ledger, words))
            self._done_at = time.monotonic()

    def _run(self) -> None:
        from services.conditions.sweep import Sweeper

        sweeper = None
        while not self._stop.wait(0.2 if sweeper is None else self._settings.conditions.poll_s):
            ledger = self._clerk.ledger
            if ledger is None:
                continue
            try:
                sweeper = sweeper or Sweeper(self._settings, ledger, self._spool)
                sweeper.sweep(now())
                with ledger.begin() as conn:
                    resolve_alert(conn, ALERT, now())
            except LedgerUnreachable as error:
                get_logger().warning("conditions not looked at", reason=str(error))
            except Exception as error:  # noqa: BLE001  what cannot be looked at is told, and looked at again
                get_logger().exception("conditions not looked at")
                _say(ledger, f"the conditions of the site cannot be looked at: {type(error).__name__}: {error}")
            self._done_at = time.monotonic()
        if sweeper is not None:
            with contextlib.suppress(LedgerUnreachable):
                sweeper.close(now())


def _say(ledger: Ledger, message: str) -> None:
    try:
        with ledger.begin() as conn:
            raise_alert(conn, ALERT, message[:500], now(), severity=2)
    except LedgerUnreachable as error:
        get_logger().warning("conditions not looked at", reason=str(error))
