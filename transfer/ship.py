"""A bundle to a remote, its receipt back, and the outbox emptied on the receiver's word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from transfer.bundle import Bundle, open_bundle
from transfer.documents import is_bundle_id
from transfer.durable import make_dirs, move, write_whole
from transfer.errors import BadDocument, Corrupt, Incomplete, Refused
from transfer.manifest import GOOD, Receipt
from transfer.remotes.base import OnBytes, Put, Remote

__all__ = ["Bundle", "fetch_receipt", "fetch_receipts", "open_bundle", "release", "ship", "ship_all"]


def ship(bundle: Bundle, remote: Remote, on_bytes: OnBytes | None = None) -> None:
    """Put a bundle into the remote's inbox; its manifest follows when the bundle is whole there, and commits it.

    May be repeated at any time; a bundle that lies there with its whole length is not sent again. Errors of `Remote`;
    Incomplete or Corrupt when the local bundle file is gone or short.
    """
    ship_all([bundle], remote, on_bytes)


def ship_all(
    bundles: Iterable[Bundle],
    remote: Remote,
    on_bytes: OnBytes | None = None,
    on_done: Callable[[Bundle], None] | None = None,
    on_spoilt: Callable[[Bundle, Incomplete | Corrupt], None] | None = None,
) -> None:
    """`ship` for many bundles, several of them on their way at the same time.

    `bundles` is asked for the next one when the link has room for it. `on_done` is called when a bundle's manifest has
    its final name. A local bundle file that is gone or short is told to `on_spoilt` and the others go on; without
    `on_spoilt` it ends the asking, and is raised when what has begun is done.
    """
    by_manifest: dict[Put, Bundle] = {}
    spoilt: list[Incomplete | Corrupt] = []

    def puts() -> Iterator[Put]:
        for bundle in bundles:
            try:
                _check_size(bundle)
            except (Incomplete, Corrupt) as error:
                if on_spoilt is None:
                    spoilt.append(error)
                    return
                on_spoilt(bundle, error)
                continue
            name = bundle.manifest.bundle
            manifest = Put(bundle.manifest_path, f"inbox/{name}.json")
            by_manifest[manifest] = bundle
            yield Put(bundle.path, f"inbox/{name}.nfb", then=manifest, skip_same_size=True)

    def done(put: Put) -> None:
        bundle = by_manifest.pop(put, None)
        if bundle is not None and on_done is not None:
            on_done(bundle)

    remote.put_all(puts(), on_bytes, done)
    if spoilt:
        raise spoilt[0]


def _check_size(bundle: Bundle) -> None:
    try:
        size = bundle.path.stat().st_size
    except FileNotFoundError:
        raise Incomplete(f"there is no {bundle.path.name} in the outbox") from None
    if size != bundle.manifest.size:
        raise Corrupt(f"{bundle.path} has {size} bytes, its manifest says {bundle.manifest.size}")


def fetch_receipt(remote: Remote, bundle: str) -> Receipt | None:
    """The receipt for a bundle id, or None when there is none yet.

    BadDocument when it is malformed or for another bundle. The caller compares whether it answers this manifest.
    """
    data = remote.get_small(_receipt_name(bundle))
    return None if data is None else _receipt(data, bundle)


def fetch_receipts(remote: Remote, bundles: Iterable[str]) -> dict[str, Receipt | BadDocument]:
    """The receipts that are there for some bundle ids; BadDocument in place of one that is malformed.

    BadDocument is raised for an id that is none.
    """
    names = {_receipt_name(bundle): bundle for bundle in bundles}
    found: dict[str, Receipt | BadDocument] = {}
    for name, data in remote.get_many(tuple(names)).items():
        try:
            found[names[name]] = _receipt(data, names[name])
        except BadDocument as error:
            found[names[name]] = error
    return found


def _receipt_name(bundle: str) -> str:
    if not is_bundle_id(bundle):
        raise BadDocument(f"{bundle!r} is no bundle id")
    return f"receipts/{bundle}.receipt.json"


def _receipt(data: bytes, bundle: str) -> Receipt:
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
    bundle.path.unlink(missing_ok=True)  # before its manifest: a crash in between is seen, and this is done again
    if bundle.manifest_path.exists():
        move(bundle.manifest_path, shipped / f"{receipt.bundle}.json")
