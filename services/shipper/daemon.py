"""The shipper: outbox → remote, receipts back, and the outbox emptied only on the receiver's word.

Every route has a thread of its own: one route being down never slows another.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from services.core.daemon import Backoff, Daemon
from services.core.errors import LedgerUnreachable, ServiceError
from services.core.ledger import telescope
from services.core.ledger.engine import Ledger, now
from services.core.ledger.states import advance
from services.core.log import bound, get_logger
from services.core.metrics.spool import Spool
from services.core.settings import RouteSettings, Settings
from services.watcher.outbox import UNDO, outbox_dir
from transfer.bundle import Bundle, open_bundle
from transfer.errors import BadDocument, Corrupt, Incomplete, Refused, TransferError
from transfer.manifest import Receipt
from transfer.remotes.base import Remote
from transfer.remotes.open import open_remote
from transfer.ship import fetch_receipt, release, ship


class Route:
    """One route's loop. The outbox and the ledger are its only memory."""

    def __init__(
        self, name: str, settings: Settings, route: RouteSettings, ledger: Ledger, spool: Spool, stop: threading.Event
    ) -> None:
        self._name = name
        self._route = route
        self._routes = list(settings.routes)
        self._ledger = ledger
        self._spool = spool
        self._stop = stop
        self._log = get_logger()
        self._outbox = outbox_dir(settings, name)
        self._shipped = settings.state_dir / "shipped" / name
        self._backoff = Backoff(1.0, route.backoff_max_s)
        self._remote: Remote | None = None
        self._asked: dict[str, float] = {}
        self.status = "starting"

    def run(self) -> None:
        """Ship until the stop signal; a failure is a pause, never an end."""
        for directory in (self._outbox, self._shipped):
            directory.mkdir(parents=True, exist_ok=True)
        with bound(route=self._name):
            for mark in self._outbox.glob(f"{UNDO}*"):
                self._finish_undoing(mark)
            while not self._stop.is_set():
                pause_s = self._route.poll_s
                try:
                    self._round()
                    self._backoff.reset()
                except (TransferError, LedgerUnreachable, OSError) as error:
                    pause_s = self._backoff.next_s()
                    self._failed(error, pause_s)
                self._stop.wait(pause_s)
            self._close()

    def _failed(self, error: Exception, pause_s: float) -> None:
        self._close()
        self.status = f"waiting: {error}"
        kind = type(error).__name__
        # A refusal needs a person; the other kinds pass by themselves.
        level = self._log.error if isinstance(error, Refused) else self._log.warning
        level("route pauses", error=kind, reason=str(error), pause_s=round(pause_s, 1))
        self._spool.write(
            "route_error", {"pause_s": pause_s, "reason": str(error)}, {"route": self._name, "error": kind}
        )

    def _close(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None

    def _round(self) -> None:
        manifests = sorted(self._outbox.glob("*.json"))
        with self._ledger.begin() as conn:
            states = telescope.bundle_states(conn, self._name)
        for path in manifests:
            if self._stop.is_set():
                return
            try:
                self._handle(open_bundle(path), states.get(path.stem, "unrecorded"))
            except (Corrupt, Incomplete) as error:
                self._undo(path.stem, f"the packed copy is spoilt: {error}")
            except (BadDocument, OSError) as error:
                # A bad manifest, receipt or file of one bundle must not keep the others at home.
                self._log.error("outbox needs a look", manifest=str(path), reason=str(error))
        self.status = f"{len(manifests)} bundles in the outbox"

    def _handle(self, bundle: Bundle, state: str) -> None:
        name = bundle.manifest.bundle
        if state == "packed":
            self._ship(bundle)
        elif state == "sent":
            receipt = fetch_receipt(self._connected(), name)
            if receipt is not None and receipt.manifest_sha256 == bundle.manifest_sha256:
                self._settle(bundle, receipt)
            elif self._overdue(name):
                self._log.warning("no receipt: shipping again", bundle=name)
                self._ship(bundle, again=True)
        elif state == "unrecorded":
            self._finish_or_wait(bundle)

    def _overdue(self, name: str) -> bool:
        asked = self._asked.setdefault(name, time.monotonic())
        return time.monotonic() - asked > self._route.receipt_overdue_s

    def _connected(self) -> Remote:
        if self._remote is None:
            self._remote = open_remote(
                self._route.url,
                key_file=self._route.key_file,
                known_hosts=self._route.known_hosts,
                timeout_s=self._route.timeout_s,
            )
        return self._remote

    def _ship(self, bundle: Bundle, *, again: bool = False) -> None:
        started = time.monotonic()
        manifest = bundle.manifest
        ship(bundle, self._connected())
        seconds = time.monotonic() - started
        self._asked[manifest.bundle] = time.monotonic()
        if not again:
            with self._ledger.begin() as conn:
                advance(conn, "bundle", manifest.bundle, "sent", now=now())
        rate = manifest.size / seconds / 1e6
        self._log.info("bundle sent", bundle=manifest.bundle, bytes=manifest.size, mb_s=round(rate, 1))
        fields = {"bytes": manifest.size, "seconds": seconds, "frames": len(manifest.frames)}
        self._spool.write("bundle_sent", fields, {"route": self._name})

    def _settle(self, bundle: Bundle, receipt: Receipt) -> None:
        """The receiver's word: first the ledger, then the outbox (`_finish_or_wait` mends a crash in between)."""
        manifest = bundle.manifest
        document = receipt.to_json().decode()
        reasons = "; ".join(f"{frame.name}: {frame.reason}" for frame in receipt.frames if frame.reason)
        with self._ledger.begin() as conn:
            telescope.settle_bundle(
                conn, manifest.bundle, receipt.verdict, document, self._routes, now(), reasons or None
            )
        self._asked.pop(manifest.bundle, None)
        latency = now() - manifest.created.timestamp()
        fields = {"frames": len(manifest.frames), "seconds": latency, "free_bytes": receipt.free_bytes}
        self._spool.write("receipt", fields, {"route": self._name, "verdict": receipt.verdict})
        if receipt.verdict in ("accepted", "duplicate"):
            release(bundle, receipt, self._shipped)
            self._log.info(
                "bundle accepted", bundle=manifest.bundle, verdict=receipt.verdict, seconds=round(latency, 2)
            )
            return
        self._log.error("bundle not accepted", bundle=manifest.bundle, verdict=receipt.verdict, reason=reasons)
        with self._ledger.begin() as conn:
            again = receipt.verdict == "corrupt" and telescope.refusals(conn, manifest.bundle) == 1
        if again:
            self._undo(manifest.bundle, "the receiver found it corrupt: once more from the raw frames")

    def _undo(self, name: str, reason: str) -> None:
        """Throw a packed copy away; the watcher packs its frames again.

        The manifest is first renamed to a mark, so that a crash at any point is finished by `_finish_undoing`. The
        ledger gives the frames back only when the old data are gone: from then on the watcher may write new ones.
        """
        self._log.error("bundle undone", bundle=name, reason=reason)
        mark = self._outbox / f"{UNDO}{name}"
        (self._outbox / f"{name}.json").rename(mark)
        self._finish_undoing(mark, reason)

    def _finish_undoing(self, mark: Path, reason: str = "undoing went on after a crash") -> None:
        name = mark.name.removeprefix(UNDO)
        with self._ledger.begin() as conn:
            pending = telescope.bundle_row(conn, name) is not None
        if pending:
            (self._outbox / f"{name}.nfb").unlink(missing_ok=True)
            with self._ledger.begin() as conn:
                telescope.unpack_bundle(conn, name, now(), reason)
        mark.unlink(missing_ok=True)

    def _finish_or_wait(self, bundle: Bundle) -> None:
        """In the outbox but not open in the ledger: accepted before a crash, or not recorded by the watcher yet."""
        with self._ledger.begin() as conn:
            row = telescope.bundle_row(conn, bundle.manifest.bundle)
            document = telescope.receipt_document(conn, bundle.manifest.bundle)
        if row is not None and row.state == "accepted" and document is not None:
            release(bundle, Receipt.from_json(document.encode()), self._shipped)


class Shipper:
    """All routes of a site."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool) -> None:
        self._daemon = daemon
        self._routes = {
            name: Route(name, settings, route, ledger, spool, daemon.stop) for name, route in settings.routes.items()
        }

    def run(self) -> None:
        """Run every route until the stop signal."""
        threads = {name: threading.Thread(target=route.run, name=name) for name, route in self._routes.items()}
        for thread in threads.values():
            thread.daemon = True  # a remote that hangs must not keep the daemon from stopping in time
            thread.start()
        self._daemon.ready()
        while not self._daemon.wait(1.0):
            dead = [name for name, thread in threads.items() if not thread.is_alive()]
            if dead:
                raise ServiceError(f"route {', '.join(dead)} stopped by itself: see the log")
            self._daemon.beat("; ".join(f"{name}: {route.status}" for name, route in self._routes.items()))
        deadline = time.monotonic() + 4.0
        for thread in threads.values():
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
