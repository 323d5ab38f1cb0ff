"""The receiver: a loop over the inbox.

The manifest is the commit mark of a bundle; the receipt is the last thing written. A crash at any point leaves the
bundle in the inbox, and the next round does it again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError
from watchdog.events import FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from services.core.daemon import Backoff, Daemon
from services.core.errors import LedgerUnreachable, RedisUnreachable, ServiceError
from services.core.ledger.engine import Ledger
from services.core.log import bound
from services.core.metrics.spool import Spool
from services.core.queues import connect, hint
from services.core.settings import Settings
from services.receiver.filing import Filing
from services.receiver.heartbeats import Heartbeats
from services.receiver.leftovers import remove_old_parts
from services.receiver.lock import inbox_lock
from services.receiver.nights import Nights
from services.receiver.voice import Voice
from transfer.durable import write_whole
from transfer.errors import NoSpace
from transfer.receive import waiting_bundles
from transfer.status import STATUS_NAME


class Stopped(Exception):
    """The daemon stops in the middle of a bundle, which stays in the inbox."""


class _OnManifest(FileSystemEventHandler):
    """Wakes the loop when a manifest is renamed into the inbox."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def on_moved(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileMovedEvent) and str(event.dest_path).endswith(".json"):
            self._daemon.wake.set()


class Receiver:
    """One loop over the inbox."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool) -> None:
        assert settings.receive is not None
        assert settings.archive_dir is not None
        self._daemon = daemon
        self._receive = settings.receive
        self._archive = settings.archive_dir
        self._spool = spool
        self._filing = Filing(settings, ledger, spool, self._alive)
        self._redis = connect(settings.redis, timeout_s=0.5) if settings.redis is not None else None
        self._backoff = Backoff(1.0, 60.0)
        self._nights = Nights(
            self._receive.root,
            self._archive,
            ledger,
            self._receive.night_keys,
            daemon.stop,
            poll_s=self._receive.poll_s,
            spool=spool,
        )
        self._heartbeats = Heartbeats(
            self._receive.root, ledger, self._receive.night_keys, daemon.stop, self._receive.poll_s
        )
        self._voice = Voice(settings, ledger)
        self._taken = 0
        self._later: dict[str, float] = {}
        self._hint_after = 0.0
        self._housekept_at = float("-inf")

    def run(self) -> None:
        """Receive until the stop signal.

        Raises
        ------
        ServiceError
            Another receiver, or an import, holds the inbox and does not let it go.
        """
        root = self._receive.root
        for directory in (root / "inbox", root / "receipts", root / "quarantine", self._archive):
            directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            deadline = time.monotonic() + 30.0
            while not stack.enter_context(inbox_lock(root)):
                if time.monotonic() > deadline:
                    raise ServiceError(f"{root}: another receiver or an import works on this inbox")
                if self._daemon.wait(0.5):
                    return
            observer = Observer()
            observer.schedule(_OnManifest(self._daemon), str(root / "inbox"))
            observer.start()
            self._nights.start()
            self._heartbeats.start()
            self._daemon.ready()
            try:
                while not self._daemon.stop.is_set():
                    self._housekeep()
                    self._nights.check()
                    self._heartbeats.check()
                    if self._daemon.wait(self._round()):
                        break
            finally:
                observer.stop()
                observer.join(timeout=1)
                self._nights.join(3.0)
                self._heartbeats.join(1.0)

    def _alive(self) -> None:
        """Called every few MiB: the watchdog is fed, and a stop leaves a large bundle for the next start."""
        self._daemon.beat()
        if self._daemon.stop.is_set():
            raise Stopped

    def _housekeep(self) -> None:
        """Every `status_s`: say how we are, and sweep away what was never finished."""
        if time.monotonic() - self._housekept_at < self._receive.status_s:
            return
        self._housekept_at = time.monotonic()
        try:
            status = self._filing.status()
            write_whole(self._receive.root / STATUS_NAME, status.to_json())
            self._voice.speak()
            remove_old_parts(self._receive.root / "inbox", self._receive.part_max_age_s)
        except (NoSpace, OSError, LedgerUnreachable) as error:
            self._daemon.log.error("no status written", reason=str(error))
            return
        fields = {"free_bytes": status.free_bytes, "queue_depth": status.queue_depth or 0}
        self._spool.write("receiver", fields)

    def _round(self) -> float:
        """Take every bundle that waits; how long to wait for the next ones, in seconds."""
        waiting = waiting_bundles(self._receive.root)
        status = f"{len(waiting)} bundles in the inbox, {self._taken} taken since the start"
        self._daemon.beat("; ".join(filter(None, (status, self._nights.status))))
        for bundle in waiting:
            if self._daemon.stop.is_set():
                break
            if time.monotonic() < self._later.get(bundle, 0.0):
                continue
            try:
                with bound(bundle=bundle):
                    _, arrivals = self._filing.take(bundle)
            except Stopped:
                break
            except (NoSpace, OSError, MemoryError, SQLAlchemyError, LedgerUnreachable) as error:
                # It stays in the inbox, to be tried again after a pause; the others go on. Nothing is lost meanwhile.
                self._later[bundle] = time.monotonic() + self._cannot_file(bundle, error)
                continue
            except Exception as error:
                self._daemon.log.exception("defect", bundle=bundle)
                self._later[bundle] = time.monotonic() + self._cannot_file(bundle, error)
                continue
            self._taken += 1
            self._later.pop(bundle, None)
            self._backoff.reset()
            self._tell(arrivals)
            self._daemon.beat()
        return self._receive.poll_s

    def _cannot_file(self, bundle: str, error: Exception) -> float:
        pause_s = self._backoff.next_s()
        reason = " ".join(str(error).split())[:500]
        self._daemon.log.error("cannot file", bundle=bundle, reason=reason, pause_s=round(pause_s, 1))
        self._spool.write("receive_error", {"reason": reason}, {"error": type(error).__name__})
        return pause_s

    def _tell(self, arrivals: Sequence[bytes]) -> None:
        if self._redis is None or time.monotonic() < self._hint_after:
            return
        try:
            hint(self._redis, arrivals)
        except RedisUnreachable as error:
            self._hint_after = time.monotonic() + 30.0
            self._daemon.log.warning("no hint given", reason=str(error))  # the conductor reads the ledger anyway
