"""Everything of the notify daemon that needs the ledger, in a thread of its own: a ledger that hangs hangs only it."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from services.alerts.delivery import Outcome
from services.alerts.outbox import claim_jobs, forget_channels, settle_outcomes
from services.alerts.points import event_before, event_points, notification_points, open_point, repeat_points
from services.alerts.rounds import decide_round
from services.alerts.sender import Sender
from services.core.alert_settings import AlertSettings
from services.core.ledger.engine import Ledger, now, open_ledger
from services.core.ledger.notifications import give_back
from services.core.ledger.pruning import prune
from services.core.log import get_logger
from services.core.metrics.spool import Spool
from services.core.settings import Settings

_MINUTE_S = 60.0
_HOUR_S = 3600.0
_DAY_S = 86_400.0


class Clerk:
    """Rounds on the ledger: write down what was sent, decide, claim what is due, write metrics.

    Attributes
    ----------
    outcomes
        What became of messages; settled with the next round, which `wake` brings forward.
    errands
        What others have to do with the ledger; done with the next round.
    good_at : float or None
        When the last round went well, on the monotonic clock; None before the first.
    trouble : str
        Why the last round failed; empty when it did not.
    """

    def __init__(self, settings: Settings, alerts: AlertSettings, spool: Spool, sender: Sender) -> None:
        self.alerts = alerts
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.errands: queue.SimpleQueue[Callable[[Ledger], None]] = queue.SimpleQueue()
        self.wake = threading.Event()
        self.good_at: float | None = None
        self.trouble = ""
        self.status = ""
        self.ledger: Ledger | None = None
        self._settings = settings
        self._spool = spool
        self._sender = sender
        self._stop = threading.Event()
        self._unsettled: list[Outcome] = []
        self._minute = self._hour = float("-inf")
        self._event: int | None = None
        self._repeats_until = now()
        self._me = f"{socket.gethostname()}:{settings.state_dir}"[:250]
        self._place = settings.state_dir / "notify.event"  # of the audit, up to which metrics were written
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)

    def start(self) -> None:
        """Begin with the rounds."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """One last round for what was sent meanwhile; False when the ledger did not let it end in time."""
        self._stop.set()
        self.wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._try_round()
            self.wake.wait(self.alerts.poll_s)
            self.wake.clear()
        self._try_round()
        if self.ledger is not None:
            self.ledger.close()

    def _try_round(self) -> None:
        try:
            if self.ledger is None:
                self.ledger = self._open()
            self._round(self.ledger)
        except Exception as error:  # noqa: BLE001  the main thread tells people when it lasts, whatever it is
            self.trouble = str(error).strip() or type(error).__name__
            get_logger().warning("no decisions", error=type(error).__name__, reason=self.trouble)
        else:
            self.trouble, self.good_at = "", time.monotonic()

    def _open(self) -> Ledger:
        with contextlib.ExitStack() as undo:
            ledger = open_ledger(self._settings.ledger)
            undo.callback(ledger.close)
            with ledger.begin() as conn:  # nobody else works on this state directory: what it had claimed is free
                give_back(conn, self._me, now())
            undo.pop_all()  # it is good, and stays open
        return ledger

    def _round(self, ledger: Ledger) -> None:
        with ledger.begin():
            pass  # a ledger that can be read but not written (locked, a full disk) is away as well
        with contextlib.suppress(queue.Empty):
            while True:
                self.errands.get_nowait()(ledger)
        self._settle(ledger)
        made = decide_round(ledger, self.alerts, now())
        if made:
            get_logger().info("messages to send", number=made)
        free = {} if self._stop.is_set() else self._sender.free()
        for job in claim_jobs(ledger, self.alerts, now(), free, self._me) if any(free.values()) else ():
            self._sender.submit(job, self.outcomes)
        self._metrics(ledger)

    def _settle(self, ledger: Ledger) -> None:
        fresh = []
        with contextlib.suppress(queue.Empty):
            while True:
                fresh.append(self.outcomes.get_nowait())
        self._spool.write_points(notification_points(fresh, now()))
        self._unsettled += fresh
        if self._unsettled:
            settle_outcomes(ledger, self._unsettled, self.alerts, now())
            self._unsettled = []

    def _metrics(self, ledger: Ledger) -> None:
        at = now()
        with ledger.read() as conn:
            if self._event is None:
                self._event = _read_number(self._place) or event_before(conn, at - _DAY_S)
            points, event = event_points(conn, self._event)
            if not points:  # months without an alert are not to be read again and again
                event = max(event, event_before(conn, at - _HOUR_S))
            points += repeat_points(conn, self._repeats_until, at)
            minute = time.monotonic() - self._minute >= _MINUTE_S
            if minute:
                number = open_point(conn, at)
                self.status = f"{number.fields['total']} alerts open"
                points.append(number)
        if points:
            self._spool.write_points(points)
        self._repeats_until = at
        if event != self._event:
            _write_number(self._place, event)
            self._event = event
        if minute:
            with ledger.begin() as conn:
                forget_channels(conn, self.alerts, at)
            self._minute = time.monotonic()
        if time.monotonic() - self._hour >= _HOUR_S:
            with ledger.begin() as conn:
                changed = prune(conn, at, self.alerts.keep_days * _DAY_S)
            if not changed:  # else there is more to forget, with the next round
                self._hour = time.monotonic()


def _read_number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _write_number(path: Path, number: int) -> None:
    """Written whole or not at all; that it is lost only writes the same points again."""
    part = path.with_suffix(".part")
    try:
        part.write_text(str(number), encoding="ascii")
        part.replace(path)
    except OSError as error:
        get_logger().warning("place in the audit not kept", path=str(path), reason=str(error))
