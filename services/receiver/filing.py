"""Filing one bundle: inbox → verified archive → ledger → receipt, in this order, each step repeatable."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from processors.errors import ProcessorError
from processors.header import read_headers
from processors.identity import FrameIdentity
from processors.instrument import load_instruments
from services.core.ledger import arrivals, centre
from services.core.ledger.alerts import raise_alert
from services.core.ledger.arrivals import Received
from services.core.ledger.engine import Ledger, now
from services.core.ledger.telescope import SeenFrame
from services.core.log import get_logger
from services.core.metrics.delay import delay_point
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from services.receiver.healing import set_rotten_aside
from transfer.bundle import read_document
from transfer.durable import fsync_dir
from transfer.errors import BadDocument, Corrupt
from transfer.manifest import GOOD, Arrival, FrameEntry, Receipt
from transfer.receive import Accepted, AcceptedFrame, accept, clear_inbox, receipt_for, write_receipt
from transfer.status import ReceiverStatus

QUICK_LOOK = "quicklook"  # directory below a night's; what lies there is never the only copy for long


class Filing:
    """What the receiver does with a bundle; the inbox, the archive and the ledger are its only memory.

    Parameters
    ----------
    on_frame
        Called before every frame, so that the caller can say that it is alive.
    """

    def __init__(self, settings: Settings, ledger: Ledger, spool: Spool, on_frame: Callable[[], None]) -> None:
        assert settings.receive is not None
        assert settings.archive_dir is not None
        self._root = settings.receive.root
        self._archive = settings.archive_dir
        self._ledger = ledger
        self._spool = spool
        self._on_frame = on_frame
        self._instruments = load_instruments(settings.instruments_dirs)
        self._identities: dict[str, FrameIdentity] = {}

    def take(self, bundle: str) -> tuple[Receipt, list[bytes]]:
        """File a bundle and answer it; the receipt, and the arrivals to tell the conductor of.

        Raises
        ------
        NoSpace, OSError, SQLAlchemyError
            It cannot be filed now: the bundle stays in the inbox, to be taken again.
        """
        started = time.monotonic()
        self._identities.clear()
        manifest = self._manifest_text(bundle)
        accepted = accept(self._root, self._archive, bundle, place=self._place, on_frame=self._on_frame)
        new, fresh = self._record(accepted)
        receipt = self._receipt(accepted)
        with self._ledger.begin() as conn:
            arrivals.add_receipt(conn, bundle, receipt.verdict, receipt.to_json().decode(), now(), manifest)
        write_receipt(self._root, receipt)
        clear_inbox(self._root, bundle)
        seconds = time.monotonic() - started
        level = get_logger().info if receipt.verdict in GOOD else get_logger().error
        reasons = [f"{frame.name}: {frame.reason}" for frame in receipt.frames if frame.reason]
        frames = len(receipt.frames)
        level("bundle received", verdict=receipt.verdict, frames=frames, seconds=round(seconds, 3), reasons=reasons)
        size = sum(frame.entry.size for frame in accepted.frames if frame.path is not None)
        fields = {"frames": frames, "bytes": size, "seconds": seconds, "free_bytes": receipt.free_bytes}
        self._spool.write("bundle_received", fields, {"verdict": receipt.verdict})
        self._spool.write_points(delay_point(dataclasses.asdict(frame), "arrived", now()) for frame in fresh)
        return receipt, new

    def status(self) -> ReceiverStatus:
        """How the receiver is."""
        depth, oldest_s = self._queue()
        free = shutil.disk_usage(self._archive).free
        return ReceiverStatus(datetime.now(UTC), free, depth, oldest_s)

    def _queue(self) -> tuple[int, float | None]:
        with self._ledger.read() as conn:
            depth, oldest_at = centre.open_tasks(conn)
        return depth, None if oldest_at is None else max(0.0, now() - oldest_at)

    def _manifest_text(self, bundle: str) -> str | None:
        """The manifest as it came, for the audit; None when it is not text that a ledger can hold."""
        try:
            text = read_document(self._root / "inbox" / f"{bundle}.json").decode()
        except (BadDocument, OSError, UnicodeDecodeError):
            return None
        return None if "\0" in text else text

    def _place(self, path: Path, entry: FrameEntry) -> PurePosixPath | None:
        """Where in the archive a frame belongs: by its own header, read here; the sender's word is only a hint."""
        try:
            identity = self._instruments.identify(read_headers(path), entry.name)
        except ProcessorError as error:
            raise Corrupt(f"{entry.name}: {error}") from error
        self._identities[entry.sha256] = identity
        directory = PurePosixPath(identity.instrument, identity.night)
        if entry.fidelity.lossless:
            self._make_room(entry)
            return directory
        with self._ledger.read() as conn:
            better = arrivals.is_lossless(conn, entry.sha256)
        return None if better else directory / QUICK_LOOK

    def _make_room(self, entry: FrameEntry) -> None:
        """A file of this frame that has rotted in the archive makes place for the good one that has come."""
        with self._ledger.read() as conn:
            aside = set_rotten_aside(conn, self._archive, self._root / "quarantine", entry.sha256)
        if aside is None:
            return
        words = f"{entry.name} had another content in the archive than was filed: set aside as {aside}, filed anew"
        get_logger().error("rotten file set aside", frame=entry.name, where=str(aside))
        with self._ledger.begin() as conn:
            raise_alert(conn, f"archive:{entry.sha256[:16]}", words, now(), severity=2)

    def _record(self, accepted: Accepted) -> tuple[list[bytes], list[FrameIdentity]]:
        """Write down what came; the arrivals to tell of, and what the frames are that had not come before."""
        filed = [frame for frame in accepted.frames if frame.verdict in GOOD and frame.path is not None]
        came = [
            Received(frame.entry.sha256, frame.entry.packed_sha256, frame.sha256, frame.verdict)
            for frame in accepted.frames
        ]
        told = []
        fresh = []
        with self._ledger.begin() as conn:
            names = [frame.entry.sha256 for frame in filed if frame.entry.fidelity.lossless]
            superseded = arrivals.quick_looks(conn, names)
            for frame in filed:
                identity = self._identities[frame.entry.sha256]
                seen = _seen(frame, identity)
                if arrivals.add_arrival(conn, seen, now(), lossless=frame.entry.fidelity.lossless):
                    told.append(_arrival(seen, identity))
                    fresh.append(identity)
            arrivals.add_received(conn, accepted.bundle, came, now())
            for path in superseded.values():
                # The lossless form is in the archive: the quick look has served. It goes before the ledger forgets
                # where it lies; after a crash in between, the bundle is taken again and the ledger follows.
                (self._archive / path).unlink(missing_ok=True)
                fsync_dir((self._archive / path).parent)
        return told, fresh

    def _receipt(self, accepted: Accepted) -> Receipt:
        status = self.status()
        return receipt_for(
            accepted,
            received=datetime.now(UTC),
            free_bytes=status.free_bytes,
            queue_depth=status.queue_depth,
            oldest_task_s=status.oldest_task_s,
        )


def _seen(frame: AcceptedFrame, identity: FrameIdentity) -> SeenFrame:
    return SeenFrame(
        sha256=frame.entry.sha256,
        name=frame.entry.name,
        path=str(frame.path),
        size=frame.entry.size,
        mtime=frame.entry.mtime.timestamp(),
        identity=dataclasses.asdict(identity),
    )


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
