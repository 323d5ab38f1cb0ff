"""What runs over the sessions of a remote: one script at a time, or many files at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar, cast

from transfer.errors import BadDocument, TransferError, Unreachable
from transfer.remotes.base import OnBytes, Put, Throttle
from transfer.remotes.sftp.session import Chunk, Session
from transfer.remotes.sftp.task import Script, Task
from transfer.remotes.sftp.uploads import Uploads

T = TypeVar("T")
OnDone = Callable[[Put], None]
POLL_S: Final = 0.25


class Engine:
    """The board of the sessions (see `session.Board`), and the calls of the one thread that uses the remote."""

    def __init__(self, timeout_s: float, throttle: Throttle | None) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.sessions: list[Session] = []
        self.broken: TransferError | None = None
        self.parallel = False  # whether several sessions share a large file
        self._timeout_s = timeout_s
        self._throttle = throttle
        self._uploads = Uploads(self.lock, self._wake)

    @property
    def busy(self) -> bool:
        """Whether files are on their way."""
        return bool(self._uploads.on_way)

    def add(self, session: Session) -> None:
        """Let a session work (lock held)."""
        self.sessions.append(session)
        session.start()
        self.changed.notify_all()

    def run(self, script: Script[T]) -> T:
        """Run a script on one session, to its end."""
        ended: list[tuple[T | None, TransferError | OSError | None]] = []

        def end(value: T | None, error: TransferError | OSError | None) -> None:
            ended.append((value, error))
            self.changed.notify_all()

        with self.lock:
            self._check()
            task = Task(self.sessions[0], script, end)
            task.start()
            try:
                while not ended:
                    self._wait()
            finally:
                task.cancel()
        value, error = ended[0]
        if error is not None:
            raise error
        return cast("T", value)

    def put_all(
        self,
        puts: Iterable[Put],
        on_bytes: OnBytes | None,
        on_done: OnDone | None,
        prepare: Callable[[Put], str],
    ) -> None:
        """See `Remote.put_all`. `prepare` connects as a put needs it and gives its path on the server."""
        uploads, source = self._uploads, iter(puts)
        waiting: deque[Put] = deque()  # pulled, or a `then`, and not begun
        more, uploads.error = True, None
        try:
            while more or waiting or uploads.on_way or uploads.told or uploads.done:
                waiting += [done.then for done in self._deliver(on_bytes, on_done) if done.then is not None]
                while waiting and self._begin(waiting[0], prepare):
                    waiting.popleft()
                more = more and uploads.error is None
                if more and not waiting and self._hungry():
                    following = next(source, None)
                    more = following is not None
                    waiting.extend([following] if following is not None else [])
                    continue
                with self.lock:
                    if uploads.on_way and not uploads.done:
                        self._wait()
        except TransferError:
            self._deliver(on_bytes, on_done)
            raise
        finally:
            with self.lock:
                if uploads.abandon() and self.broken is None:
                    self.broken = Unreachable("puts were abandoned")
                uploads.told.clear()
                uploads.done.clear()
        if uploads.error is not None:
            raise uploads.error

    def next_chunk(self, session: Session) -> Chunk | None:
        """See `Board`."""
        return self._uploads.next_chunk(session)

    def throttle(self, count: int) -> None:
        """See `Board`."""
        if self._throttle is not None:
            self._throttle(count)

    def lost(self, session: Session, error: TransferError) -> None:
        """See `Board`."""
        if self.broken is None and session in self.sessions:
            self.broken = error
            self.changed.notify_all()

    def reset(self) -> None:
        """Forget the sessions, which are closed (lock held)."""
        self.sessions.clear()
        self.broken = None
        self.parallel = False
        self._uploads.reset()

    def _hungry(self) -> bool:
        with self.lock:
            return self._uploads.hungry()

    def _begin(self, put: Put, prepare: Callable[[Put], str]) -> bool:
        """Begin a put, or note why not; False while another one is on its way to the same name."""
        try:
            path = prepare(put)
        except (OSError, BadDocument) as error:  # of this file; the others go on
            with self.lock:
                self._uploads.error = self._uploads.error or error
            return True
        with self.lock:
            if path in self._uploads.on_way:
                return False
            self._check()
            home = min(self.sessions, key=lambda session: session.load)
            self._uploads.begin(put, path, home, parallel=self.parallel)
        return True

    def _deliver(self, on_bytes: OnBytes | None, on_done: OnDone | None) -> list[Put]:
        """Tell the caller what happened, from its own thread; the puts that are done."""
        with self.lock:
            told, done = list(self._uploads.told), list(self._uploads.done)
            self._uploads.told.clear()
            self._uploads.done.clear()
        if on_bytes is not None:
            for count in told:
                on_bytes(count)
        if on_done is not None:
            for put in done:
                on_done(put)
        return done

    def _wake(self) -> None:
        for session in self.sessions:
            session.wake()
        self.changed.notify_all()

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _wait(self) -> None:
        """Wait for a change (lock held); raise when a connection is lost or nothing moves."""
        self._check()
        self.changed.wait(POLL_S)
        self._check()
        if (silent := max(session.silent_s() for session in self.sessions)) > self._timeout_s:
            raise Unreachable(f"nothing moved for {silent:.0f} s")
