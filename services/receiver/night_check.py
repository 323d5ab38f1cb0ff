"""A frame of a night manifest against the data centre's ledger and archive: why it is a hole, or that it is none."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.nights.hashing import OnBytes, hash_file
from transfer.errors import BadDocument
from transfer.manifest import GOOD, FrameEntry, Manifest
from transfer.night import NightFrame


def entries_of(receipts: Mapping[str, Any]) -> dict[tuple[str, str], tuple[FrameEntry, str]]:
    """Per bundle and frame (sha256): its entry in the manifest that was kept, and that manifest's sha256.

    `receipts` are the ledger's rows, by bundle.
    """
    found = {}
    for bundle, row in receipts.items():
        if row.manifest is None:
            continue
        data = row.manifest.encode()
        try:
            manifest = Manifest.from_json(data)
        except BadDocument:
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        found.update({(bundle, entry.sha256): (entry, sha256) for entry in manifest.frames})
    return found


def allowed_hashes(
    sha256: str, received: Iterable[Any], entries: Mapping[tuple[str, str], tuple[FrameEntry, str]]
) -> set[str]:
    """What the archived file of a frame may hash to: the frame's own sha256, or what a lossless bundle restored.

    A codec that restores the pixels but not the bytes (`rice`) leaves another file than the camera wrote; its sha256
    was recorded when it was filed.
    """
    allowed = {sha256}
    for row in received:
        entry = entries.get((row.bundle, sha256))
        if row.verdict in GOOD and row.archived_sha256 and entry is not None and entry[0].fidelity.lossless:
            allowed.add(row.archived_sha256)
    return allowed


def ledger_fault(row: Any | None) -> str | None:
    """Why a frame is a hole by its row in the ledger alone."""
    if row is None:
        return "never arrived: not on record here"
    if row.state == "quarantined":
        return f"set aside here: {row.reason}"
    if not row.lossless:
        return "only a quick-look copy is here"
    return None


def sender_fault(
    frame: NightFrame, received: Sequence[Any], entries: Mapping[tuple[str, str], tuple[FrameEntry, str]]
) -> str | None:
    """Where the sender's record of a bundle and ours disagree; bundles that went elsewhere do not count."""
    by_bundle = {row.bundle: row for row in received}
    for delivery in frame.deliveries:
        row = by_bundle.get(delivery.bundle)
        if row is None or delivery.verdict not in GOOD:
            continue
        if delivery.packed_sha256 not in (None, row.packed_sha256):
            return f"bundle {delivery.bundle}: its packed sha256 is another one at the sender"
        entry = entries.get((delivery.bundle, frame.sha256))
        if entry is not None and entry[1] != delivery.manifest_sha256:
            return f"bundle {delivery.bundle}: the manifest kept here is not the sender's"
    return None


def archive_fault(
    path: Path, allowed: set[str], stop: threading.Event, on_bytes: OnBytes = lambda _: None
) -> str | None:
    """Why the archived file is not what was filed; reads all of it (Stopped when `stop` is set)."""
    try:
        found = hash_file(path, stop, on_bytes)
    except FileNotFoundError:
        return "gone from the archive"
    except OSError as error:
        return f"not readable in the archive: {error.strerror}"
    return None if found in allowed else f"other content in the archive: sha256 {found}"
