"""One route's outbox: a thread that packs what is due, and finds its feet again after a crash."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.core.daemon import Backoff
from services.core.errors import LedgerUnreachable
from services.core.ledger import shipping, telescope
from services.core.ledger.engine import Ledger, now
from services.core.ledger.shipping import NewBundle
from services.core.log import bound, get_logger
from services.core.metrics.spool import Spool
from services.core.route_settings import RouteSettings
from services.core.settings import Settings
from services.core.version import SOFTWARE
from services.routes.book import RouteBook
from services.routes.choice import Choice, choose_batch
from services.watcher.putoff import PutOff
from services.watcher.recovery import recover
from transfer.codecs.base import Codec
from transfer.codecs.registry import codec_named
from transfer.errors import Corrupt, TransferError
from transfer.manifest import Manifest
from transfer.pack import RawFrame, pack


def outbox_dir(settings: Settings, route: str) -> Path:
    """Where the bundles of a route wait: a bundle is there when its manifest is."""
    return settings.state_dir / "outbox" / route


class Outbox:
    """Frames that a route has not packed yet → bundles, each recorded once it lies whole on the disk.

    `forget` is told (from the thread) of a path that the watcher shall look at again.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        book: RouteBook,
        ledger: Ledger,
        spool: Spool,
        forget: Callable[[str], None],
    ) -> None:
        self._forget = forget
        self._site = settings.site
        self._name = name
        self._book = book
        self._ledger = ledger
        self._spool = spool
        self._dir = outbox_dir(settings, name)
        self._quarantine = settings.state_dir / "quarantine" / "bundles"
        self._dir.mkdir(parents=True, exist_ok=True)
        self._log = get_logger()
        self._backoff = Backoff(1.0, 60.0)
        self._put_off = PutOff(name, ledger)
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def recover(self) -> None:
        """See `services.watcher.recovery`."""
        recover(self._name, self._dir, self._quarantine, self._ledger, self._record)

    def start(self, stop: threading.Event) -> None:
        """Start the thread; it ends soon after `stop` is set (a bundle that is being packed is thrown away)."""
        self._thread = threading.Thread(target=self._run, args=(stop,), name=f"pack-{self._name}", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        """There may be something to pack."""
        self._news.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        self.wake()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, stop: threading.Event) -> None:
        with bound(route=self._name):
            while not stop.is_set():
                self._news.clear()
                pause_s = 1.0
                try:
                    pause_s = self._round(stop)
                except LedgerUnreachable as error:
                    pause_s = self._backoff.next_s()
                    self._log.warning("packing pauses", reason=str(error), pause_s=round(pause_s, 1))
                except Exception:  # noqa: BLE001  one route's defect must not stop the others
                    pause_s = self._backoff.next_s()
                    self._log.exception("defect")
                if pause_s > 0 and not stop.is_set():
                    self._news.wait(pause_s)

    def _round(self, stop: threading.Event) -> float:
        """Pack one batch, if one is due; how long to wait for the next look, in seconds."""
        route = self._book.get(self._name)
        wanting = self._book.wanting()
        drain = float(self._book.values(self._name).get("drain", 0.0))
        with self._ledger.read() as conn:
            choice = choose_batch(conn, self._name, route, wanting, drain, now(), self._put_off.frames())
        if choice.unrouted:
            with self._ledger.begin() as conn:
                for frame in choice.unrouted:
                    shipping.leave_out(conn, frame.sha256, now())
        if choice.batch is None:
            return min(1.0, route.flush_s)
        return 0.0 if self._pack(choice, route, stop) else self._backoff.next_s()

    def _pack(self, choice: Choice, route: RouteSettings, stop: threading.Event) -> bool:
        assert choice.batch is not None
        batch = choice.batch
        started = time.monotonic()
        with self._ledger.read() as conn:
            previous = shipping.last_manifest(conn, self._name)
        try:
            bundle = pack(
                [_raw_frame(row) for row in batch],
                self._dir,
                bundle=bundle_id(self._site, self._name, batch, lossy=route.lossy and not choice.follow_up),
                site=self._site,
                route=self._name,
                codec=_codec(route, follow_up=choice.follow_up),
                created=datetime.now(UTC),
                previous=previous,
                software=SOFTWARE,
                on_bytes=lambda _: _end_if(stop),
            )
        except _Stopped:
            return True
        except (TransferError, OSError) as error:
            self._give_back(batch, error)
            return False
        self._backoff.reset()
        self._put_off.packed()
        manifest = bundle.manifest
        self._record(manifest, bundle.manifest_sha256)
        seconds = time.monotonic() - started
        raw = sum(entry.size for entry in manifest.frames)
        self._log.info("bundle packed", bundle=manifest.bundle, frames=len(batch), seconds=round(seconds, 3))
        fields = {"frames": len(batch), "raw_bytes": raw, "bytes": manifest.size, "seconds": seconds}
        self._spool.write("bundle_packed", fields, {"route": self._name, "codec": manifest.frames[0].codec})
        return True

    def _record(self, manifest: Manifest, manifest_sha256: str) -> None:
        new = NewBundle(
            bundle=manifest.bundle,
            route=self._name,
            manifest_sha256=manifest_sha256,
            size=manifest.size,
            raw_size=sum(entry.size for entry in manifest.frames),
            lossless=all(entry.fidelity.lossless for entry in manifest.frames),
            members=tuple({entry.sha256: entry.packed_sha256 for entry in manifest.frames}.items()),
        )
        wanting = self._book.wanting()
        with self._ledger.begin() as conn:
            shipping.add_bundle(conn, new, wanting, now())

    def _give_back(self, batch: Sequence[Any], error: Exception) -> None:
        """A frame changed or vanished after it was seen: set those aside, so that the others go on; the rest waits."""
        self._log.error("not packed", frames=[row.name for row in batch], error=str(error))
        gone = [(row, reason) for row in batch if (reason := _no_longer_there(row)) is not None]
        if not gone:
            self._put_off.add(batch, error)
        paths: list[str] = []
        with self._ledger.begin() as conn:
            for row, reason in gone:
                # Set aside, so that the others go on; when a walk finds the file again it is taken up again.
                telescope.set_aside(conn, row.sha256, reason, now())
                paths += telescope.forget_files(conn, row.sha256, row.path)
        for path in paths:
            self._forget(path)
        for row, reason in gone:
            self._log.error("quarantined", frame=row.name, reason=reason)


class _Stopped(Exception):
    """The daemon stops: the bundle that is being packed is thrown away, and packed again after the next start."""


def _end_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise _Stopped


def _codec(route: RouteSettings, *, follow_up: bool) -> Codec:
    if follow_up:
        return codec_named(route.follow_up)
    return codec_named(route.codec, **route.codec_parameters())


def bundle_id(site: str, route: str, batch: Sequence[Any], *, lossy: bool = False) -> str:
    """The same frames on the same route are the same bundle: packing again after a crash writes the same file."""
    text = "".join(row.sha256 for row in batch) + ("lossy" if lossy else "")
    return f"{site}-{route}-{batch[0].night}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _raw_frame(row: Any) -> RawFrame:
    return RawFrame(
        path=Path(row.path), name=row.name, size=row.size, sha256=row.sha256, mtime=row.mtime, identity=row.identity
    )


def _no_longer_there(row: Any) -> str | None:
    from transfer.checksum import sha256_file

    try:
        same = sha256_file(Path(row.path)) == row.sha256
    except OSError as error:
        return f"gone after it was seen: {error.strerror}"
    return (
        None if same else str(Corrupt("its content changed after it was seen; the new content is a frame of its own"))
    )
