"""Shipping a bundle, asking for its receipt, and letting go of it on the receiver's word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transfer.durable import sync_directory, write_whole
from transfer.errors import BadDocument
from transfer.manifest import Manifest, Receipt
from transfer.remotes.base import OnBytes, Remote

DOCUMENT_LIMIT: Final = 64 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle in an outbox: its manifest (the commit mark) and the data beside it."""

    manifest: Manifest
    manifest_sha256: str
    manifest_path: Path

    @property
    def data_path(self) -> Path:
        """The `.nfb` beside the manifest."""
        return self.manifest_path.with_suffix(".nfb")


def open_bundle(manifest_path: Path) -> Bundle:
    """Read a bundle's manifest (`BadDocument` when it is not one, or names another bundle)."""
    data = manifest_path.read_bytes()
    manifest = Manifest.from_json(data)
    if manifest.bundle != manifest_path.stem:
        raise BadDocument(f"{manifest_path.name}: bundle: expected {manifest_path.stem!r}, got {manifest.bundle!r}")
    return Bundle(manifest, hashlib.sha256(data).hexdigest(), manifest_path)


def ship(bundle: Bundle, remote: Remote, on_bytes: OnBytes | None = None) -> None:
    """Put the data, then the manifest, into the remote's inbox. Repeatable; errors as in `Remote`.

    An old receipt is removed first, so that the next receipt is an answer to this shipment.
    """
    name = bundle.manifest.bundle
    remote.remove(receipt_name(name))
    remote.put(bundle.data_path, f"inbox/{name}.nfb", on_bytes)
    remote.put(bundle.manifest_path, f"inbox/{name}.json")


def receipt_name(bundle: str) -> str:
    """Where the receiver puts the receipt of a bundle, below its root."""
    return f"receipts/{bundle}.receipt.json"


def fetch_receipt(remote: Remote, bundle: str) -> Receipt | None:
    """The receipt of a bundle, or None when there is none yet."""
    data = remote.get(receipt_name(bundle), DOCUMENT_LIMIT)
    if data is None:
        return None
    receipt = Receipt.from_json(data)
    if receipt.bundle != bundle:
        raise BadDocument(f"receipt of {bundle}: bundle: got {receipt.bundle!r}")
    return receipt


def release(bundle: Bundle, receipt: Receipt, shipped: Path) -> None:
    """Let go of the packed copy: manifest and receipt move to `shipped`, the data are deleted. Raws are never touched.

    Raises
    ------
    ValueError
        The receipt is not a word for this bundle, or not a good one: nothing is deleted.
    """
    if receipt.manifest_sha256 != bundle.manifest_sha256 or receipt.verdict not in ("accepted", "duplicate"):
        raise ValueError(f"{bundle.manifest.bundle}: not released on a receipt that says {receipt.verdict}")
    shipped.mkdir(parents=True, exist_ok=True)
    name = bundle.manifest.bundle
    write_whole(shipped / f"{name}.receipt.json", receipt.to_json())
    write_whole(shipped / f"{name}.json", bundle.manifest_path.read_bytes())
    # The manifest goes last: while it is there, a crash here is mended by doing this again.
    bundle.data_path.unlink(missing_ok=True)
    bundle.manifest_path.unlink(missing_ok=True)
    sync_directory(bundle.manifest_path.parent)
