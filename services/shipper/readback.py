"""A disk that no receiver looks at: the shipper reads back what it wrote, and answers itself."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.shipper.context import RouteContext
from transfer.bundle import open_bundle, verify_bundle
from transfer.errors import BadDocument, Corrupt, Incomplete
from transfer.receipt import FrameVerdict, Receipt


def read_back(ctx: RouteContext, bundle: str) -> Receipt:
    """Compare the bundle on a `file:` route with its manifest to the last byte; the receipt that follows from it.

    Raises
    ------
    OSError, TransferError
        The disk or our own manifest cannot be read.
    """
    ours = open_bundle(ctx.outbox / f"{bundle}.json")
    root = Path(unquote(urlsplit(ctx.route.url).path))
    verdict, reason = "accepted", None
    try:
        theirs = open_bundle(root / "inbox" / f"{bundle}.json")
        if theirs.manifest_sha256 != ours.manifest_sha256:
            raise Corrupt("the disk holds another manifest")
        _forget_cached(theirs.path)
        verify_bundle(theirs)
    except (BadDocument, Corrupt, Incomplete) as error:
        verdict, reason = "corrupt", str(error)
        for suffix in (".json", ".nfb"):  # packed anew it has the same name and size, and would be taken as sent
            (root / "inbox" / f"{bundle}{suffix}").unlink(missing_ok=True)
    frames = tuple(FrameVerdict(entry.name, entry.sha256, verdict, reason) for entry in ours.manifest.frames)
    free = shutil.disk_usage(root).free
    return Receipt(bundle, ours.manifest_sha256, verdict, frames, datetime.now(UTC), free, None)


def _forget_cached(path: Path) -> None:
    """The disk itself shall answer, not the memory it was written through."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
