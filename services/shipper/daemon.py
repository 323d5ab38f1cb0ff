"""The shipper: outbox → remote, receipts back, and the outbox emptied only on the receiver's word.

Every route has two threads of its own, one that sends and one that settles receipts: one route being down never slows
another, and receipts come in while a long bundle is on its way.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from watchdog.events import FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from services.core.daemon import Daemon
from services.core.errors import ServiceError
from services.core.ledger.engine import Ledger
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from services.routes.book import RouteBook
from services.shipper.context import RouteContext
from services.shipper.sender import Sender
from services.shipper.settler import Settler


class _OnManifest(FileSystemEventHandler):
    """Tells a route's sender of a manifest that was renamed into its outbox."""

    def __init__(self, ctx: RouteContext) -> None:
        self._ctx = ctx

    def on_moved(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileMovedEvent) and str(event.dest_path).endswith(".json"):
            self._ctx.news.set()


class Shipper:
    """All routes of a site."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool, config: Path) -> None:
        self._daemon = daemon
        self._config = config
        self._book = RouteBook(settings, ledger)
        self._contexts = [
            RouteContext(name, settings, self._book, ledger, spool, daemon.stop) for name in settings.routes
        ]
        self._senders = [Sender(ctx) for ctx in self._contexts]
        self._settlers = [Settler(ctx) for ctx in self._contexts]

    def run(self) -> None:
        """Run every route until the stop signal."""
        observer = Observer()
        for ctx in self._contexts:
            for directory in (ctx.outbox, ctx.shipped):
                directory.mkdir(parents=True, exist_ok=True)
            observer.schedule(_OnManifest(ctx), str(ctx.outbox))
        threads = [
            threading.Thread(target=run, name=f"{kind}-{ctx.name}", daemon=True)
            for ctx, sender, settler in zip(self._contexts, self._senders, self._settlers, strict=True)
            for kind, run in (("send", sender.run), ("settle", settler.run))
        ]
        self._start(observer)
        for thread in threads:
            thread.start()  # daemon threads: a remote that hangs must not keep the daemon from stopping in time
        self._daemon.ready()
        while not self._daemon.wait(1.0):
            self._look_after(threads)
        for ctx in self._contexts:
            ctx.news.set()
            ctx.sent.set()
        deadline = time.monotonic() + 4.0
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        if observer.is_alive():
            observer.stop()

    def _start(self, observer: Any) -> None:
        try:
            observer.start()
        except OSError as error:  # out of inotify instances: the outbox is looked at every poll_s
            self._daemon.log.warning("no events of the outbox", reason=str(error))

    def _look_after(self, threads: list[threading.Thread]) -> None:
        dead = [thread.name for thread in threads if not thread.is_alive()]
        if dead:
            raise ServiceError(f"{', '.join(dead)} stopped by itself: see the log")
        if self._daemon.reload.is_set():
            self._daemon.reload.clear()
            self._book.reload(self._config)
        words = [
            f"{ctx.name}: {'; '.join(filter(None, (sender.status, settler.status)))}"
            for ctx, sender, settler in zip(self._contexts, self._senders, self._settlers, strict=True)
        ]
        self._daemon.beat(" | ".join(words))
