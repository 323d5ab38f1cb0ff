"""What a crash left in an outbox, mended before the watcher packs anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.core.ledger import telescope
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import Ledger, now
from services.core.log import get_logger
from transfer.bundle import open_bundle
from transfer.errors import TransferError
from transfer.manifest import Manifest

UNDO: Final = ".undo-"  # begins the name of a manifest whose bundle the shipper throws away


def recover(
    route: str, outbox: Path, quarantine: Path, ledger: Ledger, record: Callable[[Manifest, str], None]
) -> None:
    """Sweep unfinished files away, and `record` bundles (manifest and its sha256) that were packed but not recorded.

    A bundle of frames that this ledger has never seen (it was lost, or restored) is set aside: a person decides.
    """
    log = get_logger()
    for leftover in outbox.glob(".*"):
        if leftover.is_file() and not leftover.name.startswith(UNDO):
            leftover.unlink()
    for path in sorted(outbox.glob("*.json")):
        try:
            bundle = open_bundle(path)
        except TransferError as error:
            if path.exists():  # else the shipper has just emptied it: it runs meanwhile
                log.error("outbox needs a look", manifest=str(path), reason=str(error))
            continue
        with ledger.read() as conn:
            known = telescope.all_on_record(conn, [entry.sha256 for entry in bundle.manifest.frames])
        if known:
            record(bundle.manifest, bundle.manifest_sha256)
        else:
            _set_aside(route, path, quarantine, ledger)
    for path in sorted(outbox.glob("*.nfb")):
        if not path.with_suffix(".json").exists():
            path.unlink()  # its manifest was never written: the frames are still waiting, pack them again


def _set_aside(route: str, manifest: Path, quarantine: Path, ledger: Ledger) -> None:
    quarantine.mkdir(parents=True, exist_ok=True)
    for path in (manifest, manifest.with_suffix(".nfb")):
        if path.exists():
            path.rename(quarantine / path.name)
    words = f"bundle {manifest.stem} carries frames that are not on record: set aside in {quarantine}"
    get_logger().error("bundle of unknown frames set aside", bundle=manifest.stem, where=str(quarantine))
    with ledger.begin() as conn:
        raise_alert(conn, f"route:{route}:set_aside:{manifest.stem}", words, now(), severity=2)
