"""One SFTP session over a pipe: requests go out from one thread, replies come in on another, matched by their ids."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from transfer.errors import TransferError, Unreachable
from transfer.remotes.sftp import replies, wire
from transfer.remotes.sftp.words import words

OPENSSH_WRITE: Final = 255 << 10  # OpenSSH takes packets of 256 KiB
ANY_WRITE: Final = 32 << 10  # what every server must take


class Pipe(Protocol):
    """A stream of bytes to and from an SFTP server; its calls raise OSError or EOFError when it is cut."""

    def settimeout(self, seconds: float | None) -> None:
        """Longest time of one `send` or `recv`; None for no limit (then `close` from elsewhere ends them)."""
        ...

    def send(self, parts: Sequence[bytes]) -> None:
        """Send everything; blocks while the other side is slower."""
        ...

    def recv(self) -> bytes:
        """What has come in; nothing at the end."""
        ...

    def why(self) -> TransferError | None:
        """Why the pipe ended, when it can tell."""
        ...

    def acknowledged(self) -> int:
        """Bytes that the other side's TCP has acknowledged, when it can tell."""
        ...

    def close(self) -> None:
        """End it; may be called from any thread."""
        ...


@dataclass(slots=True)
class Chunk:
    """Bytes of a local file on their way: `read` fetches them, the others are told how it went (`lock` held)."""

    handle: bytes
    offset: int
    length: int
    read: Callable[[], bytes | None]
    sent: Callable[[], None]
    answered: Callable[[wire.Reply], None]


class Board(Protocol):
    """What a session asks its owner. Everything but `throttle` is called with `lock` held."""

    lock: threading.RLock

    def next_chunk(self, session: Session) -> Chunk | None: ...

    def throttle(self, count: int) -> None: ...

    def lost(self, session: Session, error: TransferError) -> None: ...


class Session:
    """A session that has been greeted. Its two threads end with `close`."""

    def __init__(self, pipe: Pipe, board: Board, timeout_s: float) -> None:
        self._pipe = pipe
        self._board = board
        self._pending: dict[int, Callable[[wire.Reply], None]] = {}
        self._control: deque[bytes] = deque()
        self._number = 0
        self._closed = False
        self._sending = False
        self._throttled = False
        self._splitter = replies.Splitter()
        self._wake = threading.Condition(board.lock)
        self.load = 0  # bytes of whole files that are to go this way
        self._moved = time.monotonic()
        self._acknowledged = 0
        self.extensions = self._greet(timeout_s)
        self.write_size = OPENSSH_WRITE if wire.POSIX_RENAME in self.extensions else ANY_WRITE
        self._threads = [
            threading.Thread(target=each, name=f"sftp-{each.__name__.strip('_')}", daemon=True)
            for each in (self._read, self._write)
        ]

    def start(self) -> None:
        """Begin to work for the board."""
        for thread in self._threads:
            thread.start()

    def begin(self, request: wire.Request, answered: Callable[[wire.Reply], None]) -> None:
        """Queue a request (lock held); `answered` is called on the reading thread, with the lock."""
        self._control.append(wire.framed(request, self._register(answered)))
        self._wake.notify()

    def wake(self) -> None:
        """There may be a chunk to send (lock held)."""
        self._wake.notify()

    def silent_s(self) -> float:
        """For how long the other side owes something, a reply or room in the pipe, and nothing moves (lock held)."""
        if self._throttled or (not self._pending and not self._sending):
            return 0.0  # what is queued behind our own limit has not been asked yet
        if (acknowledged := self._pipe.acknowledged()) != self._acknowledged:
            self._acknowledged = acknowledged
            self._moved = time.monotonic()
        return time.monotonic() - self._moved

    def close(self) -> None:
        """End the pipe; the threads follow (see `join`)."""
        with self._board.lock:
            self._closed = True
            self._wake.notify_all()
        self._pipe.close()

    def join(self, seconds: float) -> None:
        """Wait for the threads of a closed session."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _greet(self, timeout_s: float) -> frozenset[bytes]:
        self._pipe.settimeout(timeout_s)
        try:
            self._pipe.send([wire.hello()])
            while data := self._pipe.recv():
                if packets := self._splitter.feed(data):
                    self._pipe.settimeout(None)
                    return replies.parse_hello(packets[0])
        except (OSError, EOFError) as error:
            raise self._pipe.why() or Unreachable(f"no SFTP session: {words(error)}") from error
        raise self._pipe.why() or Unreachable("the server ended the SFTP session before it began")

    def _register(self, answered: Callable[[wire.Reply], None]) -> int:
        if not self._pending:
            self._moved = time.monotonic()  # from now on the other side owes us something
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._pending[self._number] = answered
        return self._number

    def _read(self) -> None:
        error: Exception = EOFError("the server ended the connection")
        try:
            while data := self._pipe.recv():
                packets = self._splitter.feed(data)
                answers = [replies.parse_reply(packet) for packet in packets]
                with self._board.lock:
                    self._moved = time.monotonic()
                    for number, reply in answers:
                        answered = self._pending.pop(number, None)
                        if answered is None:
                            raise Unreachable(f"the server answered a request ({number}) that was never made")
                        answered(reply)
        except (OSError, EOFError, TransferError) as caught:
            error = caught
        finally:
            self._end(error)

    def _write(self) -> None:
        error: Exception = EOFError("the server ended the connection")
        try:
            while (job := self._next_job()) is not None:
                if isinstance(job, Chunk):
                    self._send_chunk(job)
                else:
                    self._send([job])
        except (OSError, EOFError) as caught:
            error = caught
        finally:
            self._end(error)

    def _next_job(self) -> bytes | Chunk | None:
        with self._board.lock:
            while not self._closed:
                if not self._control and (chunk := self._board.next_chunk(self)) is not None:
                    return chunk
                if self._control:
                    job = b"".join(self._control)
                    self._control.clear()
                    return job
                self._wake.wait()
        return None

    def _send_chunk(self, chunk: Chunk) -> None:
        self._throttled = True
        self._board.throttle(chunk.length)
        with self._board.lock:
            self._throttled, self._moved = False, time.monotonic()
        data = chunk.read()
        if data is None:
            return
        with self._board.lock:
            number = self._register(chunk.answered)
        self._send([wire.write_head(number, chunk.handle, chunk.offset, chunk.length), data])
        with self._board.lock:
            chunk.sent()

    def _send(self, parts: Sequence[bytes]) -> None:
        self._sending = True
        self._pipe.send(parts)
        self._sending = False
        self._moved = time.monotonic()

    def _end(self, error: Exception) -> None:
        with self._board.lock:
            if self._closed:
                return
            self._closed = True
            self._wake.notify_all()
        reason = error if isinstance(error, TransferError) else self._pipe.why()
        reason = reason or Unreachable(f"the connection broke: {words(error)}")
        with self._board.lock:
            self._board.lost(self, reason)
