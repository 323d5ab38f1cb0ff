"""Inbox → archive: verify, restore, publish read-only. Every step can be repeated after a crash at any point.

The order is the caller's: `accept`, its own ledger, `write_receipt`, `clear_inbox`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from transfer.bundle import Bundle, name_apart, open_bundle, read_document, verify_bundle
from transfer.checksum import sha256_file
from transfer.documents import check_name
from transfer.durable import fsync_dir, make_dirs, publish_new, remove, write_whole
from transfer.errors import BadDocument, Corrupt, Incomplete, NoSpace, TransferError
from transfer.inbox import manifest_sha256, open_regular, set_aside, waiting_bundles
from transfer.manifest import GOOD, FrameEntry, FrameVerdict, Receipt, worst
from transfer.unpack import restore

__all__ = [
    "Accepted",
    "AcceptedFrame",
    "Place",
    "accept",
    "clear_inbox",
    "receipt_for",
    "verify",
    "waiting_bundles",
    "write_receipt",
]

Place = Callable[[Path, FrameEntry], PurePosixPath | None]


@dataclass(frozen=True, slots=True)
class AcceptedFrame:
    """What became of a frame: `path` below the archive (None when it is not there) and the `sha256` of that file."""

    entry: FrameEntry
    verdict: str
    reason: str | None
    path: PurePosixPath | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a bundle; no frames when its manifest could not be read."""

    bundle: str
    manifest_sha256: str
    verdict: str
    reason: str | None
    frames: tuple[AcceptedFrame, ...]


def verify(root: Path, bundle: str, on_bytes: Callable[[int], None] | None = None) -> Bundle:
    """Open a bundle of the inbox and compare it with its manifest: size, layout, every packed hash.

    `on_bytes` is told of the bytes as they are read.

    Raises
    ------
    BadDocument, Corrupt, Incomplete
        It is not what its manifest says, or not all there.
    """
    opened = open_bundle(root / "inbox" / f"{bundle}.json")
    verify_bundle(opened, on_bytes)
    return opened


def accept(
    root: Path, archive: Path, bundle: str, *, place: Place, on_frame: Callable[[], None] = lambda: None
) -> Accepted:
    """Verify a bundle of the inbox and publish its frames in the archive, read-only, each whole or not at all.

    Nothing is removed from the inbox and no receipt is written, so that it may be called again: what was published by a
    call before comes back as `duplicate`.

    Parameters
    ----------
    place
        Given a restored file (under a temporary name) and its entry, the directory below the archive where it belongs,
        by its own header; None when it is not wanted, because something better of it is in the archive already. A
        `Corrupt` from it condemns the frame; any other `TransferError` refuses it.
    on_frame
        Called before every frame and every few MiB, so that the caller can say that it is alive.

    Raises
    ------
    NoSpace, OSError
        The archive cannot be written: try again later. Nothing half-written stays.
    """
    try:
        opened = verify(root, bundle, lambda _: on_frame())
    except Incomplete as error:
        return _answered(root, bundle) or _condemned(root, bundle, str(error))
    except (BadDocument, Corrupt) as error:
        return _condemned(root, bundle, str(error))
    incoming = archive / ".incoming" / bundle
    shutil.rmtree(incoming, ignore_errors=True)  # what a crash left
    make_dirs(incoming)
    try:
        with open_regular(opened.path) as file:
            frames = []
            for index, entry in enumerate(opened.manifest.frames):
                on_frame()
                frames.append(_accept_frame(file, entry, archive, incoming / f"{index:04d}", place, on_frame))
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    verdict = worst([frame.verdict for frame in frames])
    reason = next((frame.reason for frame in frames if frame.verdict == verdict), None)
    return Accepted(bundle, opened.manifest_sha256, verdict, reason, tuple(frames))


def receipt_for(
    accepted: Accepted,
    *,
    received: datetime,
    free_bytes: int,
    queue_depth: int | None,
    oldest_task_s: float | None = None,
) -> Receipt:
    """The receipt for an accepted bundle; `received` is when the ledger had it on the disk."""
    frames = tuple(
        FrameVerdict(frame.entry.name, frame.entry.sha256, frame.verdict, frame.reason) for frame in accepted.frames
    )
    return Receipt(
        bundle=accepted.bundle,
        manifest_sha256=accepted.manifest_sha256,
        verdict=accepted.verdict,
        frames=frames,
        received=received,
        free_bytes=free_bytes,
        queue_depth=queue_depth,
        oldest_task_s=oldest_task_s,
    )


def write_receipt(root: Path, receipt: Receipt) -> Path:
    """Write `root/receipts/BUNDLE.receipt.json` durably: from here on the sender may delete its copy."""
    path = _receipt_path(root, receipt.bundle)
    make_dirs(path.parent)
    write_whole(path, receipt.to_json())
    return path


def clear_inbox(root: Path, bundle: str) -> None:
    """Empty the inbox of a bundle whose receipt is written; what is corrupt or refused goes to the quarantine.

    Nothing happens when the manifest in the inbox is not the one that the receipt answers: it has come again meanwhile.

    Raises
    ------
    BadDocument
        There is no receipt, or not one that can be read.
    """
    receipt = Receipt.from_json(read_document(_receipt_path(root, bundle)))
    manifest, packed = root / "inbox" / f"{bundle}.json", root / "inbox" / f"{bundle}.nfb"
    if os.path.lexists(manifest) and manifest_sha256(manifest) != receipt.manifest_sha256:
        return
    if receipt.verdict in GOOD:
        remove(manifest)
        remove(packed)
        return
    quarantine = root / "quarantine" / bundle
    make_dirs(quarantine)
    reasons = [f"{frame.name}: {frame.verdict}: {frame.reason}\n" for frame in receipt.frames if frame.reason]
    write_whole(quarantine / "reason.txt", "".join(reasons or [f"{receipt.verdict}\n"]).encode())
    for path in (packed, manifest):
        set_aside(path, quarantine)


def _receipt_path(root: Path, bundle: str) -> Path:
    return root / "receipts" / f"{bundle}.receipt.json"


def _answered(root: Path, bundle: str) -> Accepted | None:
    """What the receipt says, if it answers this very manifest: that came again while its bundle was cleared away."""
    try:
        opened = open_bundle(root / "inbox" / f"{bundle}.json")
        receipt = Receipt.from_json(read_document(_receipt_path(root, bundle)))
    except BadDocument:
        return None
    if receipt.manifest_sha256 != opened.manifest_sha256 or len(receipt.frames) != len(opened.manifest.frames):
        return None
    frames = tuple(
        AcceptedFrame(entry, frame.verdict, frame.reason, None, None)
        for entry, frame in zip(opened.manifest.frames, receipt.frames, strict=True)
    )
    return Accepted(bundle, opened.manifest_sha256, receipt.verdict, None, frames)


def _condemned(root: Path, bundle: str, reason: str) -> Accepted:
    """A bundle that is not what it should be: every frame of it is corrupt, if the manifest can be read at all."""
    path = root / "inbox" / f"{bundle}.json"
    try:
        frames = open_bundle(path).manifest.frames
    except BadDocument:
        frames = ()
    condemned = tuple(AcceptedFrame(entry, "corrupt", reason, None, None) for entry in frames)
    return Accepted(bundle, manifest_sha256(path), "corrupt", reason, condemned)


def _accept_frame(
    file: BinaryIO, entry: FrameEntry, archive: Path, tmp: Path, place: Place, on_frame: Callable[[], None]
) -> AcceptedFrame:
    try:
        sha256 = restore(file, entry, tmp, lambda _: on_frame())
        directory = place(tmp, entry)
    except NoSpace:
        raise
    except TransferError as error:
        verdict = "corrupt" if isinstance(error, Corrupt) else "refused"
        return AcceptedFrame(entry, verdict, str(error), None, None)
    if directory is None:
        return AcceptedFrame(entry, "duplicate", None, None, None)
    if directory.is_absolute() or not directory.parts or any(check_name(part) for part in directory.parts):
        return AcceptedFrame(entry, "refused", f"{directory} is no place in the archive", None, None)
    tmp.chmod(0o444)
    make_dirs(archive / directory)
    for name in (entry.name, name_apart(entry.name, sha256)):
        if published := _publish(tmp, archive / directory / name, sha256):
            return AcceptedFrame(entry, published, None, directory / name, sha256)
    return AcceptedFrame(entry, "refused", f"{directory / entry.name} is taken by other contents", None, None)


def _publish(tmp: Path, final: Path, sha256: str) -> str | None:
    """Accepted, duplicate, or None when the name is taken by another content."""
    try:
        publish_new(tmp, final)
    except FileExistsError:
        if final.is_symlink() or not final.is_file() or sha256_file(final) != sha256:
            return None
        fsync_dir(final.parent)  # it may be the work of a call that died before this
        return "duplicate"
    return "accepted"
