"""The watcher: the camera's disk → whole frames on record → bundles in the outbox of every route.

Two threads and one per route. The loop hears the news and decides at once which files are whole; the recorder reads
those through and writes the ledger; the outboxes pack.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from stat import S_ISREG
from typing import Final

from processors.instrument import load_instruments
from services.core.daemon import Daemon
from services.core.errors import ServiceError
from services.core.ledger import shipping, telescope
from services.core.ledger.engine import Ledger
from services.core.ledger.engine import now as ledger_time
from services.core.metrics.spool import Spool
from services.core.settings import Settings
from services.routes.book import RouteBook
from services.watcher.absent import Absent
from services.watcher.events import Events, Matcher, in_utf8, walk
from services.watcher.inotify import Kind, News
from services.watcher.intake import NotYet, explain, look
from services.watcher.notes import Notes
from services.watcher.outboxes import Outboxes
from services.watcher.recorder import Job, Outcome, Recorder
from services.watcher.settle import Candidate, Verdict, faulty, judge, observed

_END_WITHIN_S: Final = 4.0  # systemd and people expect 5


class Watcher:
    """The loop: news, walks, candidates. All its state is on the disk and in the ledger."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool, config: Path) -> None:
        assert settings.watch is not None
        self._config = config
        self._daemon = daemon
        self._watch = settings.watch
        self._ledger = ledger
        self._spool = spool
        self._log = daemon.log
        self._matches = Matcher(self._watch.patterns)
        self._events = Events(self._watch, daemon.wake.set)
        instruments = load_instruments(settings.instruments_dirs)
        self._notes = Notes(settings.state_dir / "quarantine")
        self._recorder = Recorder(ledger, spool, instruments, self._notes, daemon.stop, daemon.wake.set)
        self._book = RouteBook(settings, ledger)
        self._outboxes = Outboxes(settings, self._book, ledger, spool, daemon.wake.set)
        self._candidates: dict[str, Candidate] = {}
        self._at_recorder: set[str] = set()
        self.known: dict[str, tuple[int, int]] = {}
        self._new_dirs: deque[str] = deque()
        self._lost = 0
        self._walked_at = float("-inf")
        self._sweep_at = float("-inf")
        self._absent = Absent(ledger, self._notes)

    def run(self) -> None:
        """Watch until the stop signal."""
        with self._ledger.read() as conn:
            self.known = telescope.known_files(conn)
        self._outboxes.recover()
        self._reconsider()
        self._events.start()
        self._recorder.start()
        self._outboxes.start(self._daemon.stop)
        self._daemon.ready()
        try:
            while not self._daemon.stop.is_set():
                self._round()
                if self._daemon.wait(self._pause_s()):
                    break
        finally:
            self._end()

    def _end(self) -> None:
        self._daemon.stop.set()  # after an error: the threads shall end too
        deadline = time.monotonic() + _END_WITHIN_S
        self._events.stop()
        self._recorder.join(max(0.0, deadline - time.monotonic()))
        self._outboxes.join(deadline)

    def _round(self) -> None:
        self._daemon.wake.set()  # `wait` has cleared it
        if self._daemon.reload.is_set():
            self._daemon.reload.clear()
            self._book.reload(self._config)
            self._reconsider()
            self._outboxes.wake()
        if not self._outboxes.alive() and not self._daemon.stop.is_set():  # in this order: a stop ends them too
            raise ServiceError("a packing thread has ended")  # its last words are in the log
        self._hear()
        while self._new_dirs and not self._daemon.stop.is_set():
            self._walk(self._new_dirs.popleft())
        if self._lost:
            self._log.warning("events were lost, walking", overflows=self._lost)
            self._spool.write("watcher_overflow", {"count": self._lost})
            self._lost = 0
            self._walked_at = float("-inf")
        if time.monotonic() >= self._walk_at():
            self.rescan()
        if time.monotonic() >= self._sweep_at:
            self._sweep()
        self._daemon.beat(f"{len(self._candidates)} settling, {len(self.known)} files known")

    def _pause_s(self) -> float:
        """Until the next thing that happens by itself; news ends the pause."""
        return max(0.0, min(1.0, min(self._sweep_at, self._walk_at()) - time.monotonic()))

    def _walk_at(self) -> float:
        polled = self._events.polled or not self._events.alive()
        return self._walked_at + (self._watch.poll_s if polled else self._watch.rescan_s)

    def _hear(self) -> None:
        """Whatever is new, at once; called wherever the loop is busy with many files."""
        self._daemon.beat()
        if not self._daemon.wake.is_set():
            return
        self._daemon.wake.clear()  # before the queues are emptied: what comes later sets it again
        while not self._daemon.stop.is_set():
            news, outcome = self._events.take(), self._recorder.take()
            if news is not None:
                self._on_news(news)
            if outcome is not None:
                self._on_outcome(outcome)
            self._daemon.beat()
            if news is None and outcome is None:
                break
        for path in self._outboxes.forgotten():
            self.known.pop(path, None)

    def _on_news(self, news: News) -> None:
        if news.kind is Kind.CLOSED:
            self._notice(news.path, closed=True)
        elif news.kind is Kind.DIRECTORY:
            self._new_dirs.append(news.path)
        else:
            self._lost += 1

    def _on_outcome(self, outcome: Outcome) -> None:
        path = outcome.path
        self._at_recorder.discard(path)
        candidate = self._candidates.get(path)
        unchanged = candidate is not None and candidate.stamp == outcome.stamp
        if outcome.fault is None:
            self.known[path] = outcome.stamp
            self._outboxes.wake()
            if unchanged:
                del self._candidates[path]
        elif candidate is not None and unchanged:
            self._candidates[path] = faulty(candidate, outcome.fault)
        if not unchanged:
            self._notice(path)  # it has become another file meanwhile

    def _reconsider(self) -> None:
        wanting = self._book.wanting()
        with self._ledger.begin() as conn:
            shipping.reconsider(conn, wanting, ledger_time())

    def rescan(self) -> None:
        """Walk over everything: what is not on record as it is becomes a candidate."""
        started = time.monotonic()
        found = {str(root): self._walk(str(root)) for root in self._watch.dirs}
        for path in self._absent.forget([root for root, files in found.items() if files], self._hear):
            self.known.pop(path, None)
        self._walked_at = time.monotonic()
        seconds = time.monotonic() - started
        self._spool.write("watcher_walk", {"files": sum(found.values()), "seconds": seconds})

    def _walk(self, root: str) -> int:
        found = 0
        for entry in walk(root, self._matches, self._events.listen):
            if self._daemon.stop.is_set():
                break
            found += 1
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone between the listing and the look: the next walk is the truth
            if self.known.get(entry.path) != (stat.st_size, stat.st_mtime_ns):
                self._notice(entry.path)
            self._hear()
        return found

    def _sweep(self) -> None:
        """Look at every candidate again: has it grown, is it quiet, is its time over?"""
        self._sweep_at = time.monotonic() + max(0.2, self._watch.incomplete_after_s / 10)
        for path in list(self._candidates):
            if self._daemon.stop.is_set():
                return
            self._notice(path)
            self._hear()

    def _notice(self, path: str, *, closed: bool = False) -> None:
        """Look at a file from outside; `closed` when an event said that its writer is done."""
        if not in_utf8(path):
            return
        try:
            stat = os.lstat(path)
        except OSError:
            self._candidates.pop(path, None)
            return
        stamp = (stat.st_size, stat.st_mtime_ns)
        # A pipe or a link that an event named: opening it might wait for ever, or lead elsewhere.
        if not S_ISREG(stat.st_mode) or self.known.get(path) == stamp:
            self._candidates.pop(path, None)
            return
        now = time.monotonic()
        candidate = observed(self._candidates.get(path), path, stamp, now, closed=closed)
        self._candidates[path] = candidate
        if path in self._at_recorder:
            return
        verdict = judge(candidate, now, self._watch.settle_s, self._watch.incomplete_after_s)
        if verdict is Verdict.LOOK:
            self.decide(candidate)
        elif verdict is Verdict.GIVE_UP:
            self._submit(Job(path, stamp, candidate.fault))
        elif candidate.fault is None:
            self._sweep_at = min(self._sweep_at, now + max(0.05, self._watch.settle_s / 2))

    def decide(self, candidate: Candidate) -> bool:
        """Whether a file is whole, by its headers; if so, the recorder reads it through and takes it in."""
        try:
            look(candidate.path)
        except (NotYet, OSError) as error:
            self._candidates[candidate.path] = faulty(candidate, explain(candidate.path, error))
            return False
        self._submit(Job(candidate.path, candidate.stamp))
        return True

    def _submit(self, job: Job) -> None:
        self._at_recorder.add(job.path)
        self._recorder.submit(job)
