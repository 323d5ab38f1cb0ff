"""The audit at the data centre: kept manifests, what was received, the archive read again, strays and leftovers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.core.ledger import nights
from services.core.ledger.engine import Ledger
from services.core.settings import Settings
from services.nights.evidence import Audit, Chain, Odd, Step
from services.nights.hashing import hash_file
from services.receiver.night_check import allowed_hashes, archive_fault, entries_of, ledger_fault, sender_fault
from transfer.errors import BadDocument
from transfer.manifest import GOOD, FrameEntry, Receipt
from transfer.night import NightFrame, NightManifest
from transfer.signature import signed_body

_LEFT_S: Final = 3600.0  # what is unfinished for so long was left by somebody who died
Entries = Mapping[tuple[str, str], tuple[FrameEntry, str]]


def audit_centre(
    settings: Settings,
    ledger: Ledger,
    night: str,
    *,
    quick: bool,
    stop: threading.Event,
    on_frame: Callable[[], None] = lambda: None,
) -> Audit | None:
    """Prove every frame of a night in the archive; None when neither the ledger nor a night manifest has one.

    With `quick`, archived files are compared by size, and not read.
    """
    assert settings.archive_dir is not None and settings.receive is not None
    archive = settings.archive_dir
    with ledger.read() as conn:
        frames = nights.frames_of_night(conn, night)
        received = nights.received_rows(conn, (frame.sha256 for frame in frames))
        receipts = nights.receipt_rows(conn, {row.bundle for each in received.values() for row in each})
        sealed = nights.manifests_of(conn, night)
    manifests = [NightManifest.from_json(signed_body(row.document.encode())) for row in sealed]
    named = {frame.sha256: (manifest.stem, frame) for manifest in manifests for frame in manifest.frames}
    if not frames and not named:
        return None
    entries = entries_of(receipts)
    chains = []
    for frame in frames:
        on_frame()
        came = received.get(frame.sha256, [])
        steps = (
            _raw_step(named.get(frame.sha256), manifests, came, entries),
            *_bundle_steps(frame.sha256, came, entries, receipts),
            _archived_step(frame, archive, allowed_hashes(frame.sha256, came, entries), quick, stop),
        )
        chains.append(Chain(frame.name, frame.sha256, frame.instrument, frame.expid, steps))
    chains += _never_arrived(named, {frame.sha256 for frame in frames})
    odd = (*_strays(archive, night, frames, received, stop), *_leftovers(settings.receive.root, archive, night))
    notes = () if manifests else ("no night manifest came for this night",)
    return Audit(night, "centre", tuple(chains), odd, notes)


def _raw_step(
    named: tuple[str, NightFrame] | None, manifests: Sequence[NightManifest], came: Sequence[Any], entries: Entries
) -> Step:
    """Whether the telescope says the same of the frame: it is in the signed night manifest, with the same bundles."""
    if named is None:
        who = ", ".join(manifest.stem for manifest in manifests)
        return Step("raw", None, f"not in {who}" if who else "no night manifest came")
    stem, frame = named
    fault = sender_fault(frame, came, entries)
    return Step("raw", fault is None, fault or f"in {stem}")


def _bundle_steps(sha256: str, came: Sequence[Any], entries: Entries, receipts: Mapping[str, Any]) -> tuple[Step, Step]:
    """Packed and received: of the newest bundle that brought the frame well."""
    good = [row for row in came if row.verdict in GOOD]
    if not came:
        return Step("packed", False, "no bundle on record brought it"), Step("received", False, "not on record")
    row = (good or came)[-1]
    entry = entries.get((row.bundle, sha256))
    receipt = receipts.get(row.bundle)
    if entry is None:
        packed = Step("packed", False, f"{row.bundle}: the manifest was not kept, or does not name the frame")
    elif entry[0].packed_sha256 != row.packed_sha256:
        packed = Step("packed", False, f"{row.bundle}: the manifest names another packed sha256 than the ledger")
    elif receipt is None or _answers(receipt.document) != entry[1]:
        packed = Step("packed", False, f"{row.bundle}: the receipt answers another manifest than the one that was kept")
    else:
        packed = Step("packed", True, f"{row.packed_sha256} in {row.bundle}")
    return packed, Step("received", bool(good), f"{row.verdict} in {row.bundle}")


def _answers(document: str) -> str | None:
    try:
        return Receipt.from_json(document.encode()).manifest_sha256
    except BadDocument:
        return None


def _archived_step(frame: Any, archive: Path, allowed: set[str], quick: bool, stop: threading.Event) -> Step:
    fault = ledger_fault(frame)
    if fault is not None:
        return Step("archived", False, fault)
    path = archive / frame.path
    if not quick:
        fault = archive_fault(path, allowed, stop)
        return Step("archived", fault is None, fault or f"read again: {frame.path}")
    try:
        size = path.stat(follow_symlinks=False).st_size
    except OSError as error:
        return Step("archived", False, f"not in the archive: {error.strerror}")
    # A codec that restores the pixels only may leave a file of another length than the camera's.
    if size != frame.size and allowed == {frame.sha256}:
        return Step("archived", False, f"{size} bytes in the archive, {frame.size} were sent")
    return Step("archived", True, f"there, not read again: {frame.path}")


def _never_arrived(named: Mapping[str, tuple[str, NightFrame]], here: set[str]) -> list[Chain]:
    """The frames of the night manifests that are not on record here."""
    chains = []
    for sha256, (stem, frame) in named.items():
        if sha256 not in here:
            steps = (Step("raw", True, f"in {stem}"), Step("received", False, "never arrived: not on record here"))
            chains.append(Chain(frame.name, sha256, frame.instrument, frame.expid, steps))
    return chains


def _strays(
    archive: Path, night: str, frames: Sequence[Any], received: Mapping[str, Sequence[Any]], stop: threading.Event
) -> Iterator[Odd]:
    """Files in the archive's directories of the night that no frame on record explains.

    The same frame restored by two codecs may lie there twice: what was filed of it is on record too.
    """
    known = {str(archive / frame.path) for frame in frames}
    filed = {row.archived_sha256 for each in received.values() for row in each} | {frame.sha256 for frame in frames}
    for directory in sorted(archive.glob(f"*/{night}")):
        for where, _, names in os.walk(directory):
            for path in (Path(where) / name for name in sorted(names)):
                if str(path) in known:
                    continue
                try:
                    if hash_file(path, stop) in filed:
                        continue
                    problem = "in the archive, but not on record"
                except OSError as error:
                    problem = f"in the archive, not on record, not readable: {error.strerror}"
                yield Odd(str(path), problem)


def _leftovers(root: Path, archive: Path, night: str) -> Iterator[Odd]:
    """What was begun for the night, and left unfinished for more than an hour: `.part` files, half-restored frames."""
    parts = [path for path in (root / "inbox").glob("*.part") if f"-{night}-" in path.name]
    halves = [path for path in (archive / ".incoming").glob("*") if f"-{night}-" in path.name]
    for path in sorted(parts + halves):
        try:
            age_s = time.time() - path.lstat().st_mtime
        except FileNotFoundError:
            continue
        if age_s > _LEFT_S:
            yield Odd(str(path), f"left unfinished {age_s / 3600:.0f} h ago")
