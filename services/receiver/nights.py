"""Night manifests at the data centre: signature, chain, every frame read again in the archive, and the answer.

It runs in a thread of its own, so that reading a night again (hundreds of GB) does not stop the reception of frames.
The answer is written last; a crash at any point leaves the night manifest in the inbox, and it is verified again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from services.core.errors import ServiceError
from services.core.ledger import nights
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, now
from services.core.log import bound, get_logger
from services.core.metrics.spool import Spool
from services.nights.hashing import Stopped
from services.receiver.letters import Letter, quarantine, read_letter
from services.receiver.night_check import allowed_hashes, archive_fault, entries_of, ledger_fault, sender_fault
from services.receiver.night_points import tell_night
from transfer.durable import make_dirs, remove, write_whole
from transfer.errors import TransferError
from transfer.night import NightManifest, parse_stem
from transfer.night_answer import Hole, NightAnswer

_BATCH: Final = 200  # frames whose rows are read from the ledger at once
_LATER_S: Final = 60.0


class Nights:
    """Verifies the night manifests that arrive.

    `start` runs it in a thread until the stop event; `take_all` does what waits, once, in the caller's thread.
    """

    def __init__(
        self,
        root: Path,
        archive: Path,
        ledger: Ledger,
        keys: Mapping[str, Path],
        stop: threading.Event,
        *,
        poll_s: float = 2.0,
        beat: Callable[[], None] = lambda: None,
        spool: Spool | None = None,
    ) -> None:
        self._root = root
        self._archive = archive
        self._ledger = ledger
        self._keys = dict(keys)
        self._stop = stop
        self._poll_s = poll_s
        self._beat = beat
        self._spool = spool
        self._log = get_logger()
        self._later: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="nights", daemon=True)
        self.status = "no night to verify"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def check(self) -> None:
        """ServiceError when the thread has died; called from the daemon's loop."""
        if not self._thread.is_alive() and not self._stop.is_set():
            raise ServiceError("the verification of nights stopped by itself: see the log")

    def join(self, timeout_s: float) -> None:
        """Wait for the end, after the stop event."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)  # of this thread: frames that arrive go first
        while not self._stop.is_set():
            self.take_all()
            self._stop.wait(self._poll_s)

    def take_all(self) -> dict[str, NightAnswer]:
        """Take every night manifest that waits in the inbox, in the order of their chain; the answers, by stem.

        What the disk or the ledger refuses is logged and tried again later.
        """
        answers = {}
        for letter in sorted(self._letters(), key=lambda letter: letter.order):
            if self._stop.is_set():
                break
            name = letter.path.name
            try:
                with bound(night_manifest=name):
                    answer = self._take(letter)
            except Stopped:
                break
            except (OSError, SQLAlchemyError, ServiceError, TransferError) as error:
                self._put_off(name, error)
                continue
            except Exception as error:  # noqa: BLE001  one letter of a stranger must not stop the receiver
                self._log.exception("defect", name=name)
                self._put_off(name, error)
                continue
            self._later.pop(name, None)
            self.status = "no night to verify"
            if answer is not None:
                answers[letter.path.stem] = answer
        return answers

    def _letters(self) -> list[Letter]:
        found = []
        for path in (self._root / "inbox").glob("*.night"):
            if time.monotonic() < self._later.get(path.name, 0.0):
                continue
            try:
                found.append(read_letter(path, self._keys))
            except FileNotFoundError:
                continue  # taken meanwhile
            except OSError as error:
                self._put_off(path.name, error)
        return found

    def _put_off(self, name: str, error: Exception) -> None:
        self._later[name] = time.monotonic() + _LATER_S
        self._log.error("cannot verify a night", name=name, reason=" ".join(str(error).split())[:500])

    def _take(self, letter: Letter) -> NightAnswer | None:
        manifest, refusal = letter.manifest, letter.refusal
        if manifest is not None:
            refusal = self._conflict(letter, manifest)
        if manifest is None or refusal is not None:
            return self._refuse(letter, refusal or "")
        started = time.monotonic()
        holes, size = self._holes(manifest)
        answer = NightAnswer(
            site=manifest.site,
            night=manifest.night,
            revision=manifest.revision,
            night_sha256=letter.sha256,
            verdict="holes" if holes else "verified",
            reason=None,
            warnings=self._warnings(manifest),
            holes=tuple(holes),
            frames=len(manifest.frames),
            checked=datetime.now(UTC),
        )
        self._record(letter, manifest, answer)
        self._answer(answer)
        remove(letter.path)
        seconds = time.monotonic() - started
        tell_night(answer, size, seconds, self._log, self._spool)
        return answer

    def _conflict(self, letter: Letter, manifest: NightManifest) -> str | None:
        """Another document that came before as the same revision: which of the two holds, a person must say."""
        with self._ledger.begin() as conn:
            row = nights.revision_row(conn, manifest.site, manifest.night, manifest.revision)
        if row is None or row.sha256 == letter.sha256:
            return None
        return f"revision {manifest.revision} of this night came before with other contents (sha256 {row.sha256})"

    def _warnings(self, manifest: NightManifest) -> tuple[str, ...]:
        with self._ledger.begin() as conn:
            newest = nights.newest_of_site(conn, manifest.site, before=manifest.created.timestamp())
        before = None if newest is None else newest[0]
        if manifest.previous == before:
            return ()
        named, known = manifest.previous or "none", before or "none"
        return (f"the chain is broken: it names {named} as the one before, the newest known here is {known}",)

    def _holes(self, manifest: NightManifest) -> tuple[list[Hole], int]:
        """The frames that are not in the archive as they should be, and how many bytes were read."""
        holes: list[Hole] = []
        size = 0

        def on_bytes(count: int) -> None:
            nonlocal size
            size += count
            self._beat()

        for start in range(0, len(manifest.frames), _BATCH):
            self.status = f"verifying {manifest.stem}: {start} of {len(manifest.frames)} frames"
            batch = manifest.frames[start : start + _BATCH]
            with self._ledger.begin() as conn:
                rows = nights.frame_rows(conn, (frame.sha256 for frame in batch))
                received = nights.received_rows(conn, (frame.sha256 for frame in batch))
                bundles = {row.bundle for each in received.values() for row in each}
                entries = entries_of(nights.receipt_rows(conn, bundles))
            for frame in batch:
                row, came = rows.get(frame.sha256), received.get(frame.sha256, [])
                fault = ledger_fault(row) or sender_fault(frame, came, entries)
                if fault is None and row is not None:
                    allowed = allowed_hashes(frame.sha256, came, entries)
                    fault = archive_fault(self._archive / row.path, allowed, self._stop, on_bytes)
                if fault is not None:
                    holes.append(Hole(frame.name, frame.sha256, fault))
        return holes, size

    def _record(self, letter: Letter, manifest: NightManifest, answer: NightAnswer) -> None:
        with self._ledger.begin() as conn:
            nights.add_manifest(
                conn,
                sha256=letter.sha256,
                site=manifest.site,
                night=manifest.night,
                revision=manifest.revision,
                document=letter.document,
                state=answer.verdict,
                created_at=manifest.created.timestamp(),
                now=now(),
            )
            nights.settle_manifest(conn, letter.sha256, answer.verdict, now(), answer.to_json().decode())
            alert = f"night:{manifest.site}-{manifest.night}"
            if answer.holes:
                raise_alert(
                    conn, alert, f"{manifest.stem}: {len(answer.holes)} frames are not as they should be", now()
                )
            else:
                resolve_alert(conn, alert, now())

    def _refuse(self, letter: Letter, reason: str) -> NightAnswer | None:
        """Set a bad file aside with the reason; answered where its name says whom."""
        name = letter.path.name.encode(errors="backslashreplace").decode()  # whoever put it there chose its name
        self._log.error("night manifest refused", name=name, reason=reason)
        named = parse_stem(letter.path.stem)
        answer = None
        if named is not None and letter.sha256:
            answer = NightAnswer(*named, letter.sha256, "refused", reason, (), (), 0, datetime.now(UTC))
            self._answer(answer)
        with self._ledger.begin() as conn:
            about = "refused" if named is None else f"{named[0]}-{named[1]}"
            raise_alert(conn, f"night:{about}", f"{name} was refused: {reason}", now())
        quarantine(self._root, letter, reason)
        return answer

    def _answer(self, answer: NightAnswer) -> None:
        make_dirs(self._root / "receipts")
        stem = f"{answer.site}-{answer.night}-{answer.revision}"
        write_whole(self._root / "receipts" / f"{stem}.night.json", answer.to_json())
