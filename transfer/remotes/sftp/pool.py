"""The connections of a remote: several are made at once, the first that is up is used at once, the others join."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from transfer.errors import HostKeyMismatch, TransferError, Unreachable
from transfer.remotes.base import LinkState
from transfer.remotes.sftp.engine import Engine
from transfer.remotes.sftp.line import Line
from transfer.remotes.sftp.session import Session
from transfer.remotes.sftp.tcp import info, link_state

CHANNEL_WINDOW: Final = 2 << 20  # bytes that OpenSSH lets a channel have in flight
GOAL_BYTES_S: Final = 40e6  # rate that all windows together should allow; much more than the link has is lost in queues
MOST_PIPES: Final = 4
TRIES: Final = 3  # of a connection beyond the first: sshd drops some of many (MaxStartups)
PAUSE_S: Final = 0.3  # after the first try, longer after each
REST_S: Final = 30.0  # after the last
JOIN_S: Final = 5.0


class Pool:
    """See the module. One thread calls; each connection is made by a thread of its own."""

    def __init__(self, line: Callable[[], Line], engine: Engine, timeout_s: float) -> None:
        self._make_line = line
        self._engine = engine
        self._timeout_s = timeout_s
        self._lines: dict[Line, list[Session]] = {}  # of this generation, being made or up
        self._threads: list[threading.Thread] = []
        self._error: TransferError | None = None
        self._stop = threading.Event()
        self._not_before = 0.0
        self.streams = 1

    def need_one(self) -> None:
        """At least one session; raises when none can be had."""
        self._need(1)

    def need_all(self) -> None:
        """At least one session now, and as many connections as there are to be, as they come."""
        self._need(self.streams)

    def link(self) -> LinkState | None:
        """See `Remote.link`."""
        with self._engine.lock:
            lines = [line for line, sessions in self._lines.items() if sessions]
        if not lines or self._engine.broken is not None:
            return None
        return link_state(sock for line in lines if (sock := line.sock) is not None)

    def close(self) -> None:
        """End all connections and threads."""
        self._stop.set()
        with self._engine.lock:
            lines, self._lines = self._lines, {}
            threads, self._threads = self._threads, []
            sessions = self._engine.sessions[:]
            self._engine.reset()
            self._error = None
        for session in sessions:
            session.close()
        for line in lines:
            line.close()
        deadline = time.monotonic() + JOIN_S
        for session in sessions:
            session.join(max(0.0, deadline - time.monotonic()))
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stop = threading.Event()

    def _need(self, count: int) -> None:
        if self._engine.broken is not None:
            self.close()
        self._shrink()
        with self._engine.lock:
            self._engine.parallel = self._engine.parallel or self.streams > 1
            if count - len(self._lines) > 0 and (not self._engine.sessions or time.monotonic() > self._not_before):
                for _ in range(count - len(self._lines)):
                    self._dial()
            deadline = time.monotonic() + 2 * self._timeout_s
            while not self._engine.sessions and self._lines and not isinstance(self._error, HostKeyMismatch):
                if time.monotonic() > deadline:
                    self._error = self._error or Unreachable(f"no connection within {2 * self._timeout_s:.0f} s")
                    break
                self._engine.changed.wait(0.25)
            error = self._error
        if error is not None and (isinstance(error, HostKeyMismatch) or not self._engine.sessions):
            self.close()
            raise error

    def _shrink(self) -> None:
        """Close the connections beyond those that there are to be (nothing is on its way)."""
        if len(self._lines) <= self.streams or self._engine.busy:
            return
        with self._engine.lock:
            lines = sorted(self._lines, key=lambda line: not self._lines[line])  # those that are up first
            surplus = {line: self._lines.pop(line) for line in lines[self.streams :]}
            self._engine.sessions[:] = [session for own in self._lines.values() for session in own]
        for line, sessions in surplus.items():
            for session in sessions:
                session.close()
            line.close()
            for session in sessions:
                session.join(JOIN_S)

    def _dial(self) -> None:
        line = self._make_line()
        self._lines[line] = []
        thread = threading.Thread(target=self._serve, args=(line, self._stop), name="sftp-connect", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _serve(self, first: Line, stop: threading.Event) -> None:
        """Make a connection and its sessions (on a thread of its own)."""
        line: Line | None = first
        pauses = [PAUSE_S * (attempt + 1) for attempt in range(TRIES - 1)]
        while line is not None:
            try:
                line.connect()
                self._add(line, stop)
                for _ in range(self._wanted_pipes(line) - 1):
                    self._add(line, stop)
            except TransferError as error:
                line = self._another(line, stop, error, bool(pauses))
                if line is None or stop.wait(pauses.pop(0)):
                    return
            else:
                return

    def _another(self, line: Line, stop: threading.Event, error: TransferError, again: bool) -> Line | None:
        """The line for another try after an error: only for the sake of a connection beyond the first."""
        with self._engine.lock:
            if stop.is_set() or line not in self._lines or self._lines[line]:
                return None  # closed meanwhile, or up, with fewer pipes than we would like
            del self._lines[line]
            fresh = None
            if again and self._engine.sessions and isinstance(error, Unreachable):
                fresh = self._make_line()
                self._lines[fresh] = []
            else:
                self._error = error if self._error is None or isinstance(error, HostKeyMismatch) else self._error
                self._not_before = time.monotonic() + REST_S
                self._engine.changed.notify_all()
        line.close()
        return fresh

    def _add(self, line: Line, stop: threading.Event) -> None:
        session = Session(line.pipe(), self._engine, self._timeout_s)
        with self._engine.lock:
            if not stop.is_set() and line in self._lines:
                self._lines[line].append(session)
                self._engine.add(session)
                return
        session.close()
        raise Unreachable("closed")

    def _wanted_pipes(self, line: Line) -> int:
        """How many of them fill the link, given what OpenSSH lets each have on its way."""
        sock = line.sock
        state = info(sock) if sock is not None else None
        if state is None or line.most_pipes == 1:
            return 1
        all_of_them = math.ceil(state.round_trip_s * GOAL_BYTES_S / CHANNEL_WINDOW)
        wanted = max(1, min(MOST_PIPES, line.most_pipes, round(all_of_them / self.streams)))
        with self._engine.lock:
            self._engine.parallel = self._engine.parallel or wanted > 1
        return wanted
