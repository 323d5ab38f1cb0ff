"""One route's outbox: packs what is due, and finds its feet again after a crash."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from services.core.daemon import Backoff, Daemon
from services.core.ledger import telescope
from services.core.ledger.engine import Ledger, now
from services.core.ledger.states import advance
from services.core.log import get_logger
from services.core.metrics.spool import Spool
from services.core.settings import RouteSettings, Settings
from services.core.version import SOFTWARE
from services.watcher.batches import due_batches
from transfer.bundle import open_bundle
from transfer.codecs.registry import codec_named
from transfer.errors import Corrupt, TransferError
from transfer.manifest import Manifest
from transfer.pack import RawFrame, pack

UNDO: Final = ".undo-"  # begins the name of a manifest whose bundle the shipper throws away


def outbox_dir(settings: Settings, route: str) -> Path:
    """Where the bundles of a route wait: a bundle is there when its manifest is."""
    return settings.state_dir / "outbox" / route


class Outbox:
    """Frames that a route has not packed yet → bundles, each recorded once it lies whole on the disk."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        route: RouteSettings,
        ledger: Ledger,
        spool: Spool,
        forget: Callable[[str], None],
    ) -> None:
        self._forget = forget
        self._site = settings.site
        self._routes = list(settings.routes)
        self._name = name
        self._route = route
        self._ledger = ledger
        self._spool = spool
        self._dir = outbox_dir(settings, name)
        self._quarantine = settings.state_dir / "quarantine" / "bundles"
        self._dir.mkdir(parents=True, exist_ok=True)
        self._log = get_logger()
        self._backoff = Backoff(1.0, 60.0)
        self._not_before = 0.0
        self.flush_s = route.flush_s

    def recover(self) -> None:
        """After a crash: sweep unfinished files away, and record bundles that were packed but not recorded."""
        for leftover in self._dir.glob(".*"):
            if leftover.is_file() and not leftover.name.startswith(UNDO):
                leftover.unlink()
        with self._ledger.begin() as conn:
            for path in sorted(self._dir.glob("*.json")):
                try:
                    bundle = open_bundle(path)
                except TransferError as error:
                    self._log.error("outbox needs a look", manifest=str(path), reason=str(error))
                    continue
                members = [entry.sha256 for entry in bundle.manifest.frames]
                if telescope.all_on_record(conn, members):
                    self._record(conn, bundle.manifest, bundle.manifest_sha256)
                else:
                    self._set_aside(path)
            for path in sorted(self._dir.glob("*.nfb")):
                if not path.with_suffix(".json").exists():
                    path.unlink()  # its manifest was never written: the frames are still waiting, pack them again

    def _set_aside(self, manifest: Path) -> None:
        """A bundle of frames that this ledger has never seen (it was lost, or restored): a person decides."""
        self._quarantine.mkdir(parents=True, exist_ok=True)
        for path in (manifest, manifest.with_suffix(".nfb")):
            if path.exists():
                path.rename(self._quarantine / path.name)
        self._log.error("bundle of unknown frames set aside", bundle=manifest.stem, where=str(self._quarantine))

    def pack_due(self, daemon: Daemon) -> None:
        """Pack the first batch that is due; after a failure not before a pause."""
        if time.monotonic() < self._not_before:
            return
        with self._ledger.begin() as conn:
            waiting = telescope.waiting_for_route(conn, self._name)
        # One batch a round: new frames on the camera's disk are looked at between the bundles of a backlog.
        for batch in due_batches(waiting, self._route.batch_frames, self._route.flush_s, now())[:1]:
            self._pack(batch, daemon)
            daemon.wake.set()

    def _pack(self, batch: Sequence[Any], daemon: Daemon) -> None:
        started = time.monotonic()
        with self._ledger.begin() as conn:
            previous = telescope.last_manifest(conn, self._name)
        try:
            bundle = pack(
                [_raw_frame(row) for row in batch],
                self._dir,
                bundle=bundle_id(self._site, self._name, batch),
                site=self._site,
                route=self._name,
                codec=codec_named(self._route.codec),
                created=datetime.now(UTC),
                previous=previous,
                software=SOFTWARE,
                on_bytes=lambda _: daemon.beat(),
            )
        except (TransferError, OSError) as error:
            self._give_back(batch, error)
            return
        self._backoff.reset()
        manifest = bundle.manifest
        with self._ledger.begin() as conn:
            self._record(conn, manifest, bundle.manifest_sha256)
        seconds = time.monotonic() - started
        raw = sum(entry.size for entry in manifest.frames)
        self._log.info("bundle packed", bundle=manifest.bundle, frames=len(batch), seconds=round(seconds, 3))
        fields = {"frames": len(batch), "raw_bytes": raw, "bytes": manifest.size, "seconds": seconds}
        self._spool.write("bundle_packed", fields, {"route": self._name, "codec": self._route.codec})

    def _record(self, conn: Any, manifest: Manifest, manifest_sha256: str) -> None:
        telescope.add_bundle(
            conn,
            bundle=manifest.bundle,
            route=self._name,
            manifest_sha256=manifest_sha256,
            size=manifest.size,
            raw_size=sum(entry.size for entry in manifest.frames),
            members=[entry.sha256 for entry in manifest.frames],
            routes=self._routes,
            now=now(),
        )

    def _give_back(self, batch: Sequence[Any], error: Exception) -> None:
        """A frame changed or vanished after it was seen: set those aside, so that the others go on; the rest waits."""
        self._not_before = time.monotonic() + self._backoff.next_s()
        self._log.error("not packed", frames=[row.name for row in batch], error=str(error))
        with self._ledger.begin() as conn:
            for row in batch:
                reason = _no_longer_there(row)
                if reason is not None:
                    # Set aside, so that the others go on; when a walk finds the file again it is taken up again.
                    advance(conn, "frame", row.sha256, "quarantined", now=now(), reason=reason)
                    telescope.forget_file(conn, row.path)
                    self._forget(row.path)
                    self._log.error("quarantined", frame=row.name, reason=reason)


def bundle_id(site: str, route: str, batch: Sequence[Any]) -> str:
    """The same frames on the same route are the same bundle: packing again after a crash writes the same file."""
    digest = hashlib.sha256("".join(row.sha256 for row in batch).encode()).hexdigest()[:16]
    return f"{site}-{route}-{batch[0].night}-{digest}"


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
