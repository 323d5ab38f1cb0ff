"""The receiver: inbox → verified archive → ledger → receipt, in this order, each step repeatable.

The manifest is the commit mark of a bundle; the receipt is the last thing written. A crash at any point leaves the
bundle in the inbox, and the next round does it again.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from sqlalchemy.exc import SQLAlchemyError
from watchdog.events import FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from processors.errors import ProcessorError
from processors.header import read_headers
from processors.identity import FrameIdentity
from processors.instrument import load_instruments
from services.core.daemon import Backoff, Daemon
from services.core.errors import RedisUnreachable
from services.core.ledger import centre
from services.core.ledger.engine import Ledger, now
from services.core.ledger.telescope import SeenFrame
from services.core.log import bound
from services.core.metrics.spool import Spool
from services.core.queues import connect, hint
from services.core.settings import Settings
from transfer.errors import Corrupt, NoSpace
from transfer.manifest import Arrival, FrameEntry, Receipt
from transfer.receive import Accepted, accept, clear_inbox, receipt_for, waiting_bundles, write_receipt


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
        self._daemon = daemon
        self._receive = settings.receive
        assert settings.archive_dir is not None
        self._archive = settings.archive_dir
        self._ledger = ledger
        self._spool = spool
        self._log = daemon.log
        self._instruments = load_instruments(settings.instruments_dirs)
        self._redis = connect(settings.redis, timeout_s=0.5) if settings.redis is not None else None
        self._backoff = Backoff(1.0, 60.0)
        self._taken = 0
        self._later: dict[str, float] = {}
        self._hint_after = 0.0
        self._identities: dict[str, FrameIdentity] = {}

    def run(self) -> None:
        """Receive until the stop signal."""
        root = self._receive.root
        for directory in (root / "inbox", root / "receipts", root / "quarantine", self._archive):
            directory.mkdir(parents=True, exist_ok=True)
        observer = Observer()
        observer.schedule(_OnManifest(self._daemon), str(root / "inbox"))
        observer.start()
        self._daemon.ready()
        try:
            while not self._daemon.stop.is_set():
                if self._daemon.wait(self._round()):
                    break
        finally:
            observer.stop()
            observer.join(timeout=3)

    def _round(self) -> float:
        """Take every bundle that waits; how long to wait for the next ones, in seconds."""
        waiting = waiting_bundles(self._receive.root)
        self._daemon.beat(f"{len(waiting)} bundles in the inbox, {self._taken} taken since the start")
        for bundle in waiting:
            if self._daemon.stop.is_set():
                break
            if time.monotonic() < self._later.get(bundle, 0.0):
                continue
            try:
                with bound(bundle=bundle):
                    self._take(bundle)
            except NoSpace as error:
                # The bundles stay in the inbox and their sender waits: nothing is lost while a person makes room.
                return self._cannot_file(bundle, error)
            except (OSError, MemoryError, SQLAlchemyError) as error:
                # Something about this bundle: the others go on, it is tried again after a pause.
                self._later[bundle] = time.monotonic() + self._cannot_file(bundle, error)
                continue
            self._taken += 1
            self._later.pop(bundle, None)
            self._backoff.reset()
            self._daemon.beat()
        return self._receive.poll_s

    def _cannot_file(self, bundle: str, error: Exception) -> float:
        pause_s = self._backoff.next_s()
        reason = " ".join(str(error).split())[:500]
        self._daemon.log.error("cannot file", bundle=bundle, reason=reason, pause_s=round(pause_s, 1))
        self._spool.write("receive_error", {"reason": reason}, {"error": type(error).__name__})
        return pause_s

    def _take(self, bundle: str) -> None:
        started = time.monotonic()
        self._identities.clear()
        accepted = accept(self._receive.root, self._archive, bundle, place=self._place, on_frame=self._daemon.beat)
        arrivals = self._record(accepted)
        receipt = self._receipt(accepted)
        with self._ledger.begin() as conn:
            centre.add_receipt(conn, bundle, receipt.verdict, receipt.to_json().decode(), now())
        write_receipt(self._receive.root, receipt)
        clear_inbox(self._receive.root, bundle)
        self._tell(arrivals)
        seconds = time.monotonic() - started
        level = self._log.info if receipt.verdict in ("accepted", "duplicate") else self._log.error
        reasons = [f"{frame.name}: {frame.reason}" for frame in receipt.frames if frame.reason]
        level(
            "bundle received",
            verdict=receipt.verdict,
            frames=len(receipt.frames),
            seconds=round(seconds, 3),
            reasons=reasons,
        )
        fields = {"frames": len(receipt.frames), "seconds": seconds, "free_bytes": receipt.free_bytes}
        self._spool.write("bundle_received", fields, {"verdict": receipt.verdict})

    def _place(self, path: Path, entry: FrameEntry) -> PurePosixPath:
        """Where in the archive a frame belongs: by its own header, read here; the sender's word is only a hint."""
        try:
            identity = self._instruments.identify(read_headers(path), entry.name)
        except ProcessorError as error:
            raise Corrupt(f"{entry.name}: {error}") from error
        self._identities[entry.sha256] = identity
        return PurePosixPath(identity.instrument, identity.night)

    def _record(self, accepted: Accepted) -> list[bytes]:
        arrivals = []
        with self._ledger.begin() as conn:
            for frame in accepted.frames:
                if frame.verdict not in ("accepted", "duplicate") or frame.path is None:
                    continue
                identity = self._identities[frame.entry.sha256]
                seen = SeenFrame(
                    sha256=frame.entry.sha256,
                    name=frame.entry.name,
                    path=str(frame.path),
                    size=frame.entry.size,
                    mtime=frame.entry.mtime.timestamp(),
                    identity=dataclasses.asdict(identity),
                )
                if centre.add_arrival(conn, seen, now()):
                    arrivals.append(_arrival(seen, identity))
        return arrivals

    def _receipt(self, accepted: Accepted) -> Receipt:
        with self._ledger.begin() as conn:
            depth = centre.open_tasks(conn)
        free = shutil.disk_usage(self._archive).free
        return receipt_for(accepted, received=datetime.now(UTC), free_bytes=free, queue_depth=depth)

    def _tell(self, arrivals: Sequence[bytes]) -> None:
        if self._redis is None or time.monotonic() < self._hint_after:
            return
        try:
            hint(self._redis, arrivals)
        except RedisUnreachable as error:
            self._hint_after = time.monotonic() + 30.0
            self._log.warning("no hint given", reason=str(error))  # the conductor reads the ledger anyway


def _arrival(frame: SeenFrame, identity: FrameIdentity) -> bytes:
    arrival = Arrival(
        frame=frame.sha256,
        instrument=identity.instrument,
        night=identity.night,
        expid=identity.expid,
        detectors=identity.detectors,
        obstype=identity.obstype,
        path=frame.path,
        arrived=datetime.now(UTC),
    )
    return arrival.to_json()
