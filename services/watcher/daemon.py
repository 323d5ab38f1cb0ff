"""The watcher: the camera's disk → settled frames → bundles in the outbox of every route."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from stat import S_ISREG

from processors.instrument import load_instruments
from services.core.daemon import Daemon
from services.core.ledger import telescope
from services.core.ledger.engine import Ledger, now
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from services.watcher.events import Events, Matcher, walk
from services.watcher.intake import NotYet, take_in
from services.watcher.outbox import Outbox
from services.watcher.settle import Candidate, Verdict, faulty, judge, observed


class Watcher:
    """One loop: news, walks, candidates, bundles. All its state is on the disk and in the ledger."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool) -> None:
        assert settings.watch is not None
        self._daemon = daemon
        self._watch = settings.watch
        self._ledger = ledger
        self._spool = spool
        self._log = daemon.log
        self._matches = Matcher(self._watch.patterns)
        self._instruments = load_instruments(settings.instruments_dirs)
        self._outboxes = [
            Outbox(settings, name, route, ledger, spool, self._forget) for name, route in settings.routes.items()
        ]
        self._quarantine = settings.state_dir / "quarantine"
        self._candidates: dict[Path, Candidate] = {}
        self._known: dict[str, tuple[int, int]] = {}
        self._walked_at = float("-inf")

    def run(self) -> None:
        """Watch until the stop signal."""
        events = Events(self._watch, self._daemon.wake.set)
        with self._ledger.begin() as conn:
            self._known = telescope.known_files(conn)
        for outbox in self._outboxes:
            outbox.recover()
        events.start()
        self._daemon.ready()
        try:
            while not self._daemon.stop.is_set():
                self._round(events)
                if self._daemon.wait(self._pause_s()):
                    break
        finally:
            events.stop()

    def _round(self, events: Events) -> None:
        for path in events.take():
            self._look_at(path)
        every_s = self._watch.poll_s if events.polled or not events.alive() else self._watch.rescan_s
        if events.walk_wanted or time.monotonic() - self._walked_at >= every_s:
            events.walk_wanted = False
            self._walk()
        for candidate in list(self._candidates.values()):
            if self._daemon.stop.is_set():
                return
            self._step(candidate)
            self._daemon.beat()
        for outbox in self._outboxes:
            outbox.pack_due(self._daemon)
        self._daemon.beat(f"{len(self._candidates)} settling, {len(self._known)} files known")

    def _pause_s(self) -> float:
        """Until the next thing that can happen by itself: a settling file, a flush, a walk."""
        waiting = [self._watch.rescan_s, *(outbox.flush_s for outbox in self._outboxes)]
        if any(candidate.fault is None for candidate in self._candidates.values()):
            waiting.append(max(0.05, self._watch.settle_s / 2))
        elif self._candidates:
            waiting.append(max(0.2, self._watch.incomplete_after_s / 10))
        return min([1.0, self._watch.poll_s, *waiting])

    def _walk(self) -> None:
        started = time.monotonic()
        found = 0
        for root in self._watch.dirs:
            for entry in walk(root, self._matches):
                found += 1
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # gone between the listing and the look: the next walk is the truth
                if self._known.get(entry.path) != (stat.st_size, stat.st_mtime_ns):
                    self._look_at(Path(entry.path))
        self._walked_at = time.monotonic()
        self._spool.write("watcher_walk", {"files": found, "seconds": self._walked_at - started})

    def _forget(self, path: str) -> None:
        self._known.pop(path, None)

    def _look_at(self, path: Path) -> None:
        try:
            stat = path.lstat()
        except OSError:
            self._candidates.pop(path, None)
            return
        # A pipe or a link that an event named: opening it might wait for ever, or lead elsewhere.
        regular = S_ISREG(stat.st_mode)
        if not regular or self._known.get(str(path)) == (stat.st_size, stat.st_mtime_ns):
            self._candidates.pop(path, None)
            return
        before = self._candidates.get(path)
        self._candidates[path] = observed(before, path, stat.st_size, stat.st_mtime_ns, time.monotonic())

    def _step(self, candidate: Candidate) -> None:
        self._look_at(candidate.path)
        current = self._candidates.get(candidate.path)
        if current is None:
            return
        verdict = judge(current, time.monotonic(), self._watch.settle_s, self._watch.incomplete_after_s)
        if verdict is Verdict.LOOK:
            self._take_in(current)
        elif verdict is Verdict.GIVE_UP:
            self._give_up(current)

    def _take_in(self, candidate: Candidate) -> None:
        path = candidate.path
        started = time.monotonic()
        try:
            frame = take_in(path, self._instruments)
        except NotYet as reason:
            self._log.info("not a frame yet", path=str(path), reason=str(reason))
            self._candidates[path] = faulty(candidate, str(reason))
            return
        except OSError as error:
            self._log.warning("not readable", path=str(path), error=str(error))
            self._candidates[path] = faulty(candidate, f"not readable: {error.strerror}")
            return
        stamp = (candidate.size, candidate.mtime_ns)
        with self._ledger.begin() as conn:
            new = telescope.add_seen(conn, frame, now())
            telescope.record_file(conn, str(path), *stamp, sha256=frame.sha256, reason=None, now=now())
        self._known[str(path)] = stamp
        del self._candidates[path]
        # An earlier note of a file that is whole now would only mislead.
        self._note(path).unlink(missing_ok=True)
        seconds = time.monotonic() - started
        self._log.info("frame seen", frame=frame.name, new=new, seconds=round(seconds, 4))
        tags = {"instrument": frame.identity["instrument"], "obstype": frame.identity["obstype"]}
        self._spool.write("frame_seen", {"bytes": frame.size, "seconds": seconds, "duplicate": not new}, tags)

    def _give_up(self, candidate: Candidate) -> None:
        """Quarantine: the raw file stays untouched where it is; a note tells a person the reason."""
        path, reason = candidate.path, candidate.fault or "unknown"
        note = self._note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{path}\n{reason}\n", encoding="utf-8")
        stamp = (candidate.size, candidate.mtime_ns)
        with self._ledger.begin() as conn:
            telescope.record_file(conn, str(path), *stamp, sha256=None, reason=reason, now=now())
        self._known[str(path)] = stamp
        del self._candidates[path]
        self._log.error("quarantined", path=str(path), reason=reason)
        self._spool.write("file_quarantined", {"bytes": candidate.size, "reason": reason})

    def _note(self, path: Path) -> Path:
        return self._quarantine / f"{path.name[:200]}.{hashlib.sha256(str(path).encode()).hexdigest()[:8]}.txt"
