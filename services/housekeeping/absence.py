"""Sources that do not answer, and a housekeeper that cannot go on, as alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from services.core.errors import LedgerUnreachable
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger
from services.core.log import get_logger
from services.housekeeping.alerting import unreachable
from services.housekeeping.runner import Runner

STANDSTILL: Final = "housekeeping:-:-:standstill"
_STANDS_S: Final = 60.0


class Standstill:
    """The alert that rows cannot be kept (a full disk), so that nobody watches any limit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: bool | None = None  # a process before us may have told

    def stands(self, reason: str, seconds: float, now: float) -> None:
        """Nothing has gone on for so long, and why."""
        if self._told or seconds < _STANDS_S:
            return
        message = f"the housekeeper stands still, no limit is watched: {reason}"
        self._set(True, lambda conn: raise_alert(conn, STANDSTILL, message, now, 2))

    def goes(self, now: float) -> None:
        """It goes on."""
        if self._told is not False:
            self._set(False, lambda conn: resolve_alert(conn, STANDSTILL, now))

    def _set(self, told: bool, step: Callable[[Connection], object]) -> None:
        try:
            with self._ledger.begin() as conn:
                step(conn)
            self._told = told
        except LedgerUnreachable as error:
            get_logger().warning("the ledger does not answer", reason=str(error))


class Absences:
    """Tells the ledger once when a source has been away for too long, and once when it is back."""

    def __init__(self, ledger: Ledger, patience_s: Mapping[str, float], store: str) -> None:
        self._ledger = ledger
        self._store = store
        self._patience_s = patience_s
        # What the ledger was told; of a source that is not in here it may still hold what was before a restart.
        self._told: dict[str, bool] = {}

    def look(self, runners: Iterable[Runner], now: float, clock: float) -> None:
        """`now` is the ledger's time, `clock` monotonic seconds."""
        for runner in runners:
            away_s = runner.away_s(clock)
            is_away = away_s > self._patience_s[runner.name]
            answers = not runner.busy and not runner.trouble
            if is_away == self._told.get(runner.name) or not (is_away or answers):
                continue
            try:
                self._tell(runner, is_away, away_s, now)
                self._told[runner.name] = is_away
            except LedgerUnreachable as error:
                get_logger().warning("the ledger does not answer", reason=str(error))

    def _tell(self, runner: Runner, is_away: bool, away_s: float, now: float) -> None:
        alert = unreachable(runner.name)
        with self._ledger.begin() as conn:
            if is_away:
                reason = runner.trouble or "it hangs"
                message = f"housekeeping source {runner.name} has not answered for {away_s:.0f} s: {reason}"
                raise_alert(
                    conn, alert, message, now, 1, {"source": runner.name, "parameter": "-", "store": self._store}
                )
            else:
                resolve_alert(conn, alert, now)
