"""The watcher's second thread: reads whole files, and puts what became of them on record, many in one transaction.

The watcher's loop decides within a millisecond whether a file is whole; checksums of a large frame take seconds, and
a durable transaction takes a turn of the disk. Neither may hold a decision up.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from processors.instrument import Instruments
from services.core.ledger import telescope
from services.core.ledger.engine import Ledger, now
from services.core.ledger.telescope import SeenFrame
from services.core.log import get_logger
from services.core.metrics.delay import delay_point
from services.core.metrics.spool import Point, Spool
from services.watcher.intake import NotYet, Stopped, explain, take_in
from services.watcher.notes import Notes

MOST_FILES: Final = 100  # in one transaction
MOST_WAIT_S: Final = 0.05  # that the first of them waits for the others
LARGE: Final = 16 << 20  # bytes; reading such a file takes longer than the others may wait


@dataclass(frozen=True, slots=True)
class Job:
    """A file to take in, or, with a `reason`, to set aside; `stamp` is its size (bytes) and mtime (ns)."""

    path: str
    stamp: tuple[int, int]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: on record (`fault` is None), or not a frame yet because of a fault."""

    path: str
    stamp: tuple[int, int]
    fault: str | None


@dataclass(frozen=True, slots=True)
class _Done:
    job: Job
    frame: SeenFrame | None
    seconds: float


def commit_due(files: int, waited_s: float, next_size: int | None) -> bool:
    """Whether to commit what was read, before the next file (its size in bytes, None when there is none) is read."""
    return files > 0 and (files >= MOST_FILES or waited_s >= MOST_WAIT_S or next_size is None or next_size >= LARGE)


class Recorder:
    """Takes jobs in order from the watcher's loop, hands outcomes back."""

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        instruments: Instruments,
        notes: Notes,
        stop: threading.Event,
        on_news: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._instruments = instruments
        self._notes = notes
        self._stop = stop
        self._on_news = on_news
        self._log = get_logger()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._done: list[_Done] = []
        self._done_since = 0.0
        self._error: Exception | None = None
        # A daemon thread: a disk that does not answer must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, after the stop event was set; what was read is on record then."""
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def submit(self, job: Job) -> None:
        """Do this after what was submitted before."""
        self._jobs.put(job)

    def take(self) -> Outcome | None:
        """The oldest outcome that was not taken yet; raises what ended the thread, if something did."""
        try:
            return self._outcomes.get_nowait()
        except queue.Empty:
            if self._error is not None:
                raise self._error from None
            return None

    def _run(self) -> None:
        try:
            self._work()
            self._commit()
        except Exception as error:  # noqa: BLE001  the watcher's loop raises it in the main thread
            self._error = error
            self._on_news()

    def _work(self) -> None:
        with contextlib.suppress(Stopped):
            while not self._stop.is_set() and (job := self._next()) is not None:
                self._do(job)

    def _next(self) -> Job | None:
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            self._commit()
            return self._jobs.get()
        waited_s = time.monotonic() - self._done_since
        if job is not None and commit_due(len(self._done), waited_s, job.stamp[0]):
            self._commit()
        return job

    def _do(self, job: Job) -> None:
        started = time.monotonic()
        frame = None
        if job.reason is None:
            try:
                frame = take_in(job.path, job.stamp, self._instruments, self._stop)
            except (NotYet, OSError) as error:
                self._tell(Outcome(job.path, job.stamp, explain(job.path, error)))
                return
        else:
            self._notes.write(job.path, job.reason)
        if not self._done:
            self._done_since = started
        self._done.append(_Done(job, frame, time.monotonic() - started))

    def _commit(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        new = set()
        with self._ledger.begin() as conn:
            for each in done:
                job, frame = each.job, each.frame
                sha256 = None if frame is None else frame.sha256
                if frame is not None and telescope.add_seen(conn, frame, now()):
                    new.add(frame.path)
                telescope.record_file(conn, job.path, *job.stamp, sha256=sha256, reason=job.reason, now=now())
        self._say(done, new)
        for each in done:
            if each.frame is not None:
                self._notes.remove(each.job.path)
            self._tell(Outcome(each.job.path, each.job.stamp, None))

    def _say(self, done: Sequence[_Done], new: set[str]) -> None:
        points = []
        at = time.time_ns  # each point at its own nanosecond: two at the same one are one
        for each in done:
            job, frame = each.job, each.frame
            if frame is None:
                self._log.error("quarantined", path=job.path, reason=job.reason)
                points.append(Point("file_quarantined", {"bytes": job.stamp[0], "reason": str(job.reason)}, {}, at()))
                continue
            fresh = frame.path in new
            self._log.info("frame seen", frame=frame.name, new=fresh, seconds=round(each.seconds, 4))
            fields = {"bytes": frame.size, "seconds": each.seconds, "duplicate": not fresh}
            tags = {"instrument": frame.identity["instrument"], "obstype": frame.identity["obstype"]}
            points.append(Point("frame_seen", fields, tags, at()))
            if fresh:
                points.append(delay_point(frame.identity, "seen", now()))
        self._spool.write_points(points)

    def _tell(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)
        self._on_news()
