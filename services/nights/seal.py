"""Signing a night: ledger first, then the file; a crash in between is mended by the next run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.core.ledger import nights
from services.core.ledger.engine import Ledger
from transfer.durable import make_dirs, write_whole
from transfer.errors import BadDocument, Corrupt
from transfer.night import NightManifest
from transfer.signature import open_signed, sign


@dataclass(frozen=True)
class Sealed:
    """A signed night manifest: its file and that file's sha256; `new` when this run wrote it."""

    manifest: NightManifest
    path: Path
    sha256: str
    state: str
    new: bool


def seal(ledger: Ledger, draft: NightManifest, key: Ed25519PrivateKey, directory: Path, taken: int = 0) -> Sealed:
    """Record and write a night manifest; the newest revision as it is when that already says the same.

    Parameters
    ----------
    draft
        What the night is; its revision and its place in the chain are decided here.
    taken
        Revisions of this night that a receiver has answered already: this ledger may be younger than the night.

    Raises
    ------
    BadDocument
        A receiver could not read what would be written.
    """
    with ledger.begin() as conn:
        row = nights.newest_manifest(conn, draft.site, draft.night)
        newest = nights.newest_of_site(conn, draft.site)
        same = None if row is None else _unchanged(row.document.encode(), draft, key)
        if row is not None and same is not None:
            manifest, envelope, state, new = same, row.document.encode(), str(row.state), False
        else:
            manifest = _next(draft, 0 if row is None else row.revision, newest, taken)
            envelope = sign(manifest.to_json(), key)
            NightManifest.from_json(open_signed(envelope, key.public_key()))
            state, new = "sealed", True
            nights.add_manifest(
                conn,
                sha256=_sha256(envelope),
                site=manifest.site,
                night=manifest.night,
                revision=manifest.revision,
                document=envelope.decode(),
                state=state,
                created_at=manifest.created.timestamp(),
                now=draft.created.timestamp(),
            )
    path = directory / f"{manifest.stem}.night"
    make_dirs(directory)
    write_whole(path, envelope)
    return Sealed(manifest, path, _sha256(envelope), state, new)


def _unchanged(envelope: bytes, draft: NightManifest, key: Ed25519PrivateKey) -> NightManifest | None:
    """The manifest on record, if it says the same of the night and was signed with the key of now."""
    try:
        manifest = NightManifest.from_json(open_signed(envelope, key.public_key()))
    except (BadDocument, Corrupt):
        return None
    return manifest if manifest.same_night(draft) else None


def _next(draft: NightManifest, revision: int, newest: tuple[str, float] | None, taken: int) -> NightManifest:
    """The draft as the next link of the chain; its time is after that of the link before, whatever the clock says."""
    created = draft.created.timestamp()
    if newest is not None:
        created = max(created, newest[1] + 0.001)
    return replace(
        draft,
        revision=max(revision, taken) + 1,
        created=datetime.fromtimestamp(created, UTC),
        previous=None if newest is None else newest[0],
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
