"""The audit at the telescope: camera's disk, kept manifests, receipts, the newest night answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.errors import ProcessorError
from processors.header import read_headers
from processors.instrument import Instruments, load_instruments
from services.core.ledger import nights
from services.core.ledger.engine import Ledger
from services.core.settings import Settings
from services.nights.disk import Unrecorded, of_the_night, unrecorded
from services.nights.evidence import Audit, BundleFacts, Chain, NightFacts, Odd, Step, archived_step, route_steps
from services.nights.exchange import read_answers
from services.nights.hashing import hash_file
from services.routes.book import RouteBook
from transfer.bundle import read_document
from transfer.errors import BadDocument
from transfer.manifest import Manifest, Receipt
from transfer.night import NightManifest
from transfer.signature import signed_body


@dataclass(frozen=True)
class _Kept:
    """A manifest that was kept: its sha256, packed sha256 by frame, and whether its chain holds."""

    sha256: str
    packed: Mapping[str, str]
    previous: str | None


def audit_telescope(
    settings: Settings,
    ledger: Ledger,
    night: str,
    *,
    quick: bool,
    stop: threading.Event,
    on_frame: Callable[[], None] = lambda: None,
) -> Audit | None:
    """Prove every frame of a night; None when there is none on record.

    With `quick`, raw files are compared by size and time, and not read.
    """
    with ledger.read() as conn:
        frames = nights.frames_of_night(conn, night)
        carried = nights.carried(conn, night)
        receipts = nights.receipt_rows(conn, {row.bundle for row in carried})
        files = nights.file_rows(conn)
        chains = {route: nights.chain_of(conn, settings.site, route) for route in {row.route for row in carried}}
        sealed = nights.newest_manifest(conn, settings.site, night)
    if not frames:
        return None
    facts = _bundle_facts(settings, carried, receipts, chains)
    wanting = RouteBook(settings, ledger).wanting()
    wanted = {frame.sha256: wanting(frame) for frame in frames}
    night_facts = None if sealed is None else _night_facts(sealed)
    proven = []
    for frame in frames:
        on_frame()
        steps = [_raw_step(frame, files.get(frame.path), quick, stop)]
        for route, lossless in sorted(wanted[frame.sha256].items()):
            useful = [each for each, whole in facts.get((frame.sha256, route), []) if whole or not lossless]
            steps += route_steps(route, useful)
        steps.append(archived_step(frame.sha256, night_facts))
        proven.append(Chain(frame.name, frame.sha256, frame.instrument, frame.expid, tuple(steps)))
    odd = _odd_files(settings, files, frames, night)
    notes = () if night_facts else ("no night manifest yet",)
    return Audit(night, "telescope", tuple(proven), odd, notes)


def _raw_step(frame: Any, file: Any | None, quick: bool, stop: threading.Event) -> Step:
    try:
        stat = Path(frame.path).stat()
    except FileNotFoundError:
        return Step("raw", None, "no longer on the camera's disk")
    except OSError as error:
        return Step("raw", False, f"not readable: {error.strerror}")
    if file is not None and file.sha256 not in (None, frame.sha256):
        return Step("raw", None, "another frame has its name on the camera's disk")
    if quick:
        same = stat.st_size == frame.size and (file is None or file.mtime_ns == stat.st_mtime_ns)
        return Step("raw", same, "size and time agree" if same else "its size or time is another one than on record")
    try:
        found = hash_file(Path(frame.path), stop)
    except OSError as error:
        return Step("raw", False, f"not readable: {error.strerror}")
    return Step("raw", True, found) if found == frame.sha256 else Step("raw", False, f"changed: sha256 {found}")


def _bundle_facts(
    settings: Settings,
    carried: Iterable[Any],
    receipts: Mapping[str, Any],
    chains: Mapping[str, tuple[set[str], bool]],
) -> dict[tuple[str, str], list[tuple[BundleFacts, bool]]]:
    """Per frame and route, the bundles that carry it with what is found of each, and whether each is lossless."""
    kept: dict[str, _Kept | None] = {}
    answered: dict[str, tuple[str, dict[str, str]]] = {}
    found: dict[tuple[str, str], list[tuple[BundleFacts, bool]]] = {}
    for row in carried:
        if row.bundle not in kept:
            kept[row.bundle] = _kept_manifest(settings.state_dir, row.route, row.bundle)
            answered[row.bundle] = _answered(receipts.get(row.bundle))
        manifest, (receipt_manifest, verdicts) = kept[row.bundle], answered[row.bundle]
        known, mended = chains[row.route]
        linked: bool | None = manifest is None or manifest.previous is None or manifest.previous in known
        if not linked and mended:
            linked = None
        facts = BundleFacts(
            bundle=row.bundle,
            route=row.route,
            state=row.state,
            manifest=None if manifest is None else manifest.sha256,
            entry_packed=None if manifest is None else manifest.packed.get(row.sha256),
            recorded_manifest=row.manifest_sha256,
            recorded_packed=row.packed_sha256,
            linked=linked,
            receipt_manifest=receipt_manifest or None,
            receipt_verdict=verdicts.get(row.sha256),
        )
        found.setdefault((row.sha256, row.route), []).append((facts, row.lossless))
    return found


def _kept_manifest(state_dir: Path, route: str, bundle: str) -> _Kept | None:
    """The manifest of a bundle, from `shipped/` or, while it is on its way, from `outbox/`."""
    for where in ("shipped", "outbox"):
        try:
            data = read_document(state_dir / where / route / f"{bundle}.json")
            manifest = Manifest.from_json(data)
        except (BadDocument, OSError):
            continue
        packed = {entry.sha256: entry.packed_sha256 for entry in manifest.frames}
        return _Kept(hashlib.sha256(data).hexdigest(), packed, manifest.previous)
    return None


def _answered(row: Any | None) -> tuple[str, dict[str, str]]:
    """The manifest that a receipt answers, and its word on every frame; nothing when there is none."""
    if row is None:
        return "", {}
    try:
        receipt = Receipt.from_json(row.document.encode())
    except BadDocument:
        return "", {}
    return receipt.manifest_sha256, {frame.sha256: frame.verdict for frame in receipt.frames}


def _night_facts(row: Any) -> NightFacts:
    manifest = NightManifest.from_json(signed_body(row.document.encode()))
    answers = {route: answer for route, answer in read_answers(row.answer).items() if answer.night_sha256 == row.sha256}
    return NightFacts(
        stem=manifest.stem,
        named=frozenset(frame.sha256 for frame in manifest.frames),
        verdicts={route: answer.verdict for route, answer in answers.items()},
        holes={route: {hole.sha256: hole.reason for hole in answer.holes} for route, answer in answers.items()},
    )


def _odd_files(settings: Settings, files: Mapping[str, Any], frames: Sequence[Any], night: str) -> tuple[Odd, ...]:
    """Files of the night on the camera's disk that nobody recorded."""
    if settings.watch is None:
        return ()
    instruments = load_instruments(settings.instruments_dirs)
    here: list[Unrecorded] = []
    unread: list[Unrecorded] = []
    for file in unrecorded(settings.watch, files):
        its_night = _night_of(file, instruments)
        if its_night == night:
            here.append(file)
        elif its_night is None:
            unread.append(file)
    here += of_the_night(unread, frames)
    return tuple(Odd(file.path, file.reason) for file in sorted(here, key=lambda file: file.path))


def _night_of(file: Unrecorded, instruments: Instruments) -> str | None:
    try:
        return instruments.identify(read_headers(Path(file.path)), Path(file.path).name).night
    except (ProcessorError, OSError):
        return None
