"""A server that answers what it likes: every session ends with a named error, and its threads with it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from transfer.errors import TransferError, Unreachable
from transfer.remotes.sftp import scripts, wire
from transfer.remotes.sftp.engine import Engine
from transfer.remotes.sftp.session import Session

HELLO = struct.pack(">IBI", 5, 2, 3)


class SocketPipe:
    """A pipe over a socket, whose other end is the test."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def settimeout(self, seconds: float | None) -> None:
        self._sock.settimeout(seconds)

    def send(self, parts: Sequence[bytes]) -> None:
        self._sock.sendall(b"".join(parts))

    def recv(self) -> bytes:
        return self._sock.recv(65536)

    def why(self) -> TransferError | None:
        return None

    def acknowledged(self) -> int:
        return 0

    def close(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


Serve = Callable[..., Engine]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """An engine with one session, whose server greets with some bytes and answers the first request with others."""
    ends: list[Callable[[], None]] = []

    def make(greeting: bytes, answer: Callable[[int], bytes] | None = None, timeout_s: float = 5.0) -> Engine:
        ours, theirs = socket.socketpair()

        def run() -> None:
            with contextlib.suppress(OSError):  # the client may hang up at any point
                theirs.recv(1000)
                theirs.sendall(greeting)
                request = theirs.recv(1000)
                if request and answer is not None:
                    theirs.sendall(answer(struct.unpack_from(">I", request, 5)[0]))
                    theirs.recv(1000)

        thread = threading.Thread(target=run)
        thread.start()
        ends.extend([theirs.close, thread.join, ours.close])
        engine = Engine(timeout_s, None)
        try:
            session = Session(SocketPipe(ours), engine, timeout_s)
        except TransferError:
            theirs.shutdown(socket.SHUT_RDWR)
            raise
        ends.insert(0, lambda: session.join(5.0))
        ends.insert(0, session.close)
        with engine.lock:
            engine.add(session)
        return engine

    yield make
    for end in ends:
        end()


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-nonsense\r\n", struct.pack(">IBI", 5, 2, 6), struct.pack(">I", 0), struct.pack(">IB", 1, 2)]
)
def test_a_greeting_that_is_none(serve: Serve, greeting: bytes) -> None:
    with pytest.raises(Unreachable):
        serve(greeting)


def test_a_true_answer(serve: Serve) -> None:
    engine = serve(HELLO, lambda number: struct.pack(">IBIII", 13, 101, number, 2, 0))
    assert engine.run(scripts.stat("a")) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda number: struct.pack(">IBIII", 13, 101, number + 1, 0, 0), "never made"),
        (lambda number: struct.pack(">IBI", 5, 99, number), "unknown type"),
        (lambda number: struct.pack(">IBII", 9, 102, number, 0xFFFFFFFF), "malformed"),
        (lambda number: struct.pack(">I", 1 << 30), "no SFTP"),
        (lambda number: struct.pack(">IBII", 9, 103, number, 0), "answers with Data"),
        (lambda number: struct.pack(">IBII", 309, 102, number, 300) + bytes(300), "handle of more than"),
    ],
)
def test_an_answer_that_is_none(serve: Serve, answer: Callable[[int], bytes], words: str) -> None:
    engine = serve(HELLO, answer)
    with pytest.raises(Unreachable, match=words):
        engine.run(scripts.stat("a"))


def test_a_server_that_never_answers(serve: Serve) -> None:
    engine = serve(HELLO, None, timeout_s=0.3)
    with pytest.raises(Unreachable, match="nothing moved"):
        engine.run(scripts.stat("a"))


def test_a_listing_that_does_not_end(serve: Serve) -> None:
    script = scripts.list_dir("a")
    next(script)
    script.send([wire.Handle(b"h")])
    with pytest.raises(Unreachable, match="does not end"):
        script.send([wire.Names(())])
