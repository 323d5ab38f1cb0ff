"""Sources whose rows come now and are of the past, as alerts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.core.errors import LedgerUnreachable
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger
from services.core.log import get_logger
from services.housekeeping.alerting import misdated


class Misdated:
    """Tells of a source that goes on speaking of times long past: nobody would hear of its limits.

    One look is not enough, since a file of last year may be put beside the others.
    """

    def __init__(self, ledger: Ledger, patience_s: Mapping[str, float], store: str) -> None:
        self._ledger = ledger
        self._store = store
        self._patience_s = patience_s
        self._since: dict[str, float] = {}  # monotonic seconds of the first look that found old rows only
        self._told: dict[str, bool] = {}

    def look(self, spoke: Collection[str], old: Collection[str], now: float, clock: float) -> None:
        """`spoke` are sources that were read up before and have rows now; `now` is the ledger's time."""
        for name in spoke:
            if name not in old:
                self._since.pop(name, None)
                self._tell(name, False, now)
            elif clock - self._since.setdefault(name, clock) > self._patience_s[name]:
                self._tell(name, True, now)

    def _tell(self, name: str, wrong: bool, now: float) -> None:
        if wrong == self._told.get(name):
            return
        alert = misdated(name)
        message = f"housekeeping source {name} speaks of times long past, its alerts are held back: is its clock right?"
        details = {"source": name, "parameter": "-", "store": self._store}
        try:
            with self._ledger.begin() as conn:
                if wrong:
                    raise_alert(conn, alert, message, now, 2, details)
                else:
                    resolve_alert(conn, alert, now)
            self._told[name] = wrong
        except LedgerUnreachable as error:
            get_logger().warning("the ledger does not answer", reason=str(error))
