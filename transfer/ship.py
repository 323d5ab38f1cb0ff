"""A bundle to a remote, its receipt back, and the outbox emptied on the receiver's word."""

from __future__ import annotations

from pathlib import Path

from transfer.bundle import Bundle, open_bundle
from transfer.documents import is_bundle_id
from transfer.durable import make_dirs, remove, write_whole
from transfer.errors import BadDocument, Corrupt, Incomplete, Refused
from transfer.manifest import GOOD, Receipt
from transfer.remotes.base import OnBytes, Remote

__all__ = ["Bundle", "fetch_receipt", "open_bundle", "release", "ship"]


def ship(bundle: Bundle, remote: Remote, on_bytes: OnBytes | None = None) -> None:
    """Put a bundle into the remote's inbox; its manifest follows when the bundle is whole there, and commits it.

    May be repeated at any time; a bundle that lies there with its whole length is not sent again. Errors of `Remote`;
    Incomplete or Corrupt when the local bundle file is gone or short.
    """
    try:
        size = bundle.path.stat().st_size
    except FileNotFoundError:
        raise Incomplete(f"there is no {bundle.path.name} in the outbox") from None
    if size != bundle.manifest.size:
        raise Corrupt(f"{bundle.path} has {size} bytes, its manifest says {bundle.manifest.size}")
    name = bundle.manifest.bundle
    there = remote.stat(f"inbox/{name}.nfb")
    if there is None or there.size != size:
        remote.put(bundle.path, f"inbox/{name}.nfb", on_bytes)
    elif on_bytes:
        on_bytes(size)
    remote.put(bundle.manifest_path, f"inbox/{name}.json")


def fetch_receipt(remote: Remote, bundle: str) -> Receipt | None:
    """The receipt for a bundle id, or None when there is none yet.

    BadDocument when it is malformed or for another bundle. The caller compares whether it answers this manifest.
    """
    if not is_bundle_id(bundle):
        raise BadDocument(f"{bundle!r} is no bundle id")
    data = remote.get_small(f"receipts/{bundle}.receipt.json")
    if data is None:
        return None
    receipt = Receipt.from_json(data)
    if receipt.bundle != bundle:
        raise BadDocument(f"receipt.bundle: expected {bundle}, got {receipt.bundle}")
    return receipt


def release(bundle: Bundle, receipt: Receipt, shipped: Path) -> None:
    """Delete the packed copy of a bundle that has arrived; its manifest and receipt stay in `shipped`.

    May be repeated after a crash at any point. The raw frames are never touched.

    Raises
    ------
    Refused
        The receipt is for another manifest, does not name every frame, or any of its verdicts is not good.
    """
    expected = [(entry.name, entry.sha256) for entry in bundle.manifest.frames]
    answered = [(frame.name, frame.sha256) for frame in receipt.frames if frame.verdict in GOOD]
    same = (receipt.bundle, receipt.manifest_sha256) == (bundle.manifest.bundle, bundle.manifest_sha256)
    if not same or receipt.verdict not in GOOD or answered != expected:
        raise Refused(f"the receipt for {receipt.bundle} ({receipt.verdict}) does not allow to delete its packed copy")
    make_dirs(shipped)
    write_whole(shipped / f"{receipt.bundle}.receipt.json", receipt.to_json())
    if bundle.manifest_path.exists():
        write_whole(shipped / f"{receipt.bundle}.json", bundle.manifest_path.read_bytes())
    remove(bundle.path)
    remove(bundle.manifest_path)
