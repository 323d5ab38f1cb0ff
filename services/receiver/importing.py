"""Disks that arrive by courier: bundles and night manifests, as they are, into the inbox and then the archive.

The disk is only read. What is taken goes the way of everything that arrives: into the inbox (bundle first, manifest
last), verified, filed, answered. When no receiver runs, the import takes its part; otherwise it waits for its answers.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from services.core.ledger.engine import Ledger
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from services.receiver.filing import Filing
from services.receiver.healing import all_filed
from services.receiver.lock import inbox_lock
from services.receiver.nights import Nights
from transfer.bundle import Bundle, open_bundle, read_document
from transfer.checksum import sha256_file
from transfer.documents import MAX_DOCUMENT
from transfer.errors import BadDocument, TransferError
from transfer.manifest import GOOD, Receipt
from transfer.night import parse_stem
from transfer.night_answer import NightAnswer
from transfer.remotes.file import FileRemote
from transfer.ship import ship

_POLL_S = 0.5
T = TypeVar("T")


@dataclass(frozen=True)
class Imported:
    """What became of a bundle or night manifest: `verdict` is the receiver's word, or `bad` when it never got there."""

    path: Path
    name: str
    verdict: str
    reason: str | None

    @property
    def good(self) -> bool:
        """Whether it is in the archive, or verified."""
        return self.verdict in (*GOOD, "verified")


@dataclass(frozen=True)
class Cargo:
    """What a disk holds: bundles with their manifest, night manifests, and what cannot be taken, with the reason."""

    bundles: tuple[Path, ...]
    nights: tuple[Path, ...]
    bad: tuple[Imported, ...]


def survey(directory: Path) -> Cargo:
    """Everything on a disk, at any depth, that an import takes. Links are not followed; unfinished files are not taken.

    Manifests that were kept after their bundle was delivered (their receipt lies beside them) are passed over, and so
    are files of other kinds.
    """
    found = sorted(_regular_files(directory))
    there = set(found)
    bundles, bad = [], []
    for path in found:
        if path.suffix == ".nfb":
            if path.with_suffix(".json") not in there:
                bad.append(Imported(path, path.stem, "bad", "a bundle without its manifest"))
        elif _is_manifest(path):
            if path.with_suffix(".nfb") in there:
                bundles.append(path)
            elif path.with_name(f"{path.stem}.receipt.json") not in there:
                bad.append(Imported(path, path.stem, "bad", "a manifest without its bundle"))
        elif path.suffix == ".json" and path.with_suffix(".nfb") in there:
            bad.append(Imported(path, path.stem, "bad", "not a manifest that can be read"))
    nights = tuple(path for path in found if path.suffix == ".night" and parse_stem(path.stem) is not None)
    return Cargo(tuple(bundles), nights, tuple(bad))


def _regular_files(directory: Path) -> Iterator[Path]:
    for where, _, names in os.walk(directory, onerror=_raise):
        for path in (Path(where) / name for name in names):
            if path.suffix in (".nfb", ".json", ".night") and stat.S_ISREG(path.lstat().st_mode):
                yield path


def _raise(error: OSError) -> None:
    raise error


def _is_manifest(path: Path) -> bool:
    if path.suffix != ".json" or path.lstat().st_size > MAX_DOCUMENT:
        return False
    try:
        open_bundle(path)
    except BadDocument:
        return False
    return True


class Importer:
    """Takes what a disk holds; may be run again at any time, what is in the archive already is not copied twice."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        spool: Spool,
        stop: threading.Event,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        assert settings.receive is not None and settings.archive_dir is not None
        self._root = settings.receive.root
        self._archive = settings.archive_dir
        self._ledger = ledger
        self._remote = FileRemote(self._root)
        self._stop = stop
        self._note = note
        self._locks = contextlib.ExitStack()
        self._have_lock = False
        self._filing = Filing(settings, ledger, spool, lambda: None)
        self._nights = Nights(self._root, settings.archive_dir, ledger, settings.receive.night_keys, stop, spool=spool)
        for directory in (self._root / "inbox", self._root / "receipts", settings.archive_dir):
            directory.mkdir(parents=True, exist_ok=True)

    def run(self, cargo: Cargo) -> Iterator[Imported]:
        """Take everything, one after the other; the night manifests when every bundle is taken.

        Raises
        ------
        NoSpace, Refused, Unreachable
            The inbox or the archive cannot be written: make room, and run it again.
        """
        yield from cargo.bad
        with self._locks:
            if not self._alone():
                self._note("a receiver works on this inbox: it takes what is imported, and this waits for its answers")
            for path in cargo.bundles:
                if self._stop.is_set():
                    return
                yield self._bundle(path)
            for path in cargo.nights:
                if self._stop.is_set():
                    return
                yield self._night(path)

    def _alone(self) -> bool:
        """Whether the inbox is ours; it is asked for again and again, since who has it may end meanwhile."""
        if not self._have_lock:
            self._have_lock = self._locks.enter_context(inbox_lock(self._root))
        return self._have_lock

    def _bundle(self, path: Path) -> Imported:
        try:
            bundle = open_bundle(path)
            receipt = self._receipt(bundle)
            if receipt is not None and receipt.verdict in GOOD and self._still_there(bundle):
                return Imported(path, path.stem, "duplicate", "answered before")
            ship(bundle, self._remote)
        except TransferError as error:
            if error.exit_code == 3:
                raise
            return Imported(path, path.stem, "bad", str(error))
        receipt = self._taken(lambda: self._filing.take(path.stem)[0], lambda: self._receipt(bundle))
        if receipt is None:
            return Imported(path, path.stem, "unanswered", "stopped before the receiver answered")
        reasons = "; ".join(f"{frame.name}: {frame.reason}" for frame in receipt.frames if frame.reason)
        return Imported(path, path.stem, receipt.verdict, reasons or None)

    def _still_there(self, bundle: Bundle) -> bool:
        """Whether the archive still holds every frame of it; else the disk may be what brings them back."""
        with self._ledger.read() as conn:
            return all_filed(conn, self._archive, {entry.sha256 for entry in bundle.manifest.frames})

    def _receipt(self, bundle: Bundle) -> Receipt | None:
        """The answer to this very manifest; None while it is in the inbox, where an answer would be of before."""
        name = bundle.manifest.bundle
        if (self._root / "inbox" / f"{name}.json").exists():
            return None
        try:
            receipt = Receipt.from_json(read_document(self._root / "receipts" / f"{name}.receipt.json"))
        except BadDocument:
            return None
        return receipt if receipt.manifest_sha256 == bundle.manifest_sha256 else None

    def _night(self, path: Path) -> Imported:
        self._remote.put(path, f"inbox/{path.name}")
        sha256 = sha256_file(path)
        answer = self._taken(lambda: self._nights.take_all().get(path.stem), lambda: self._answer(path, sha256))
        if answer is None:
            return Imported(path, path.stem, "unanswered", "it could not be verified now: see the log, run it again")
        holes = f"{len(answer.holes)} holes" if answer.holes else None
        return Imported(path, path.stem, answer.verdict, answer.reason or holes)

    def _answer(self, path: Path, sha256: str) -> NightAnswer | None:
        """The answer to this very night manifest; None while it is in the inbox."""
        if (self._root / "inbox" / path.name).exists():
            return None
        try:
            answer = NightAnswer.from_json(read_document(self._root / "receipts" / f"{path.name}.json"))
        except BadDocument:
            return None
        return answer if answer.night_sha256 == sha256 else None

    def _taken(self, take: Callable[[], T | None], look: Callable[[], T | None]) -> T | None:
        """What is answered: by the receiver that runs, or by `take` as soon as none does; None when it shall stop."""
        while True:
            alone = self._alone()
            if (found := look()) is not None:
                return found
            if alone:
                return take()
            if self._stop.wait(_POLL_S):
                return None
