"""What is asked of an SFTP server, step by step: each script yields flights of requests and gets their replies."""

from __future__ import annotations

import posixpath
import stat as stat_bits
from collections.abc import Sequence
from typing import Final, TypeVar

from transfer.errors import BadDocument, NoSpace, Refused, TransferError, Unreachable
from transfer.remotes.sftp import wire
from transfer.remotes.sftp.task import Script, Until

T = TypeVar("T")
MAX_NAMES: Final = 1_000_000  # entries of a directory that are believed
READ_SIZE: Final = 128 << 10
AHEAD: Final = 32  # small files that are fetched at once
NO_SPACE_WORDS: Final = ("no space", "quota", "disk full")


class NotThere(TransferError):
    """There is no such file or directory on the remote."""


class ServerFailure(Unreachable):
    """SFTP has one code, 'failure', for a full disk and for everything else: the caller asks how much room there is."""


def failed(reply: wire.Reply, path: str) -> TransferError:
    """The error that a reply stands for, when it is not the one that was hoped for."""
    if not isinstance(reply, wire.Status):
        return Unreachable(f"{path}: the server answers with {type(reply).__name__}")
    message = " ".join(reply.message.split())[:200] or f"status {reply.code}"
    if reply.code == wire.NO_SUCH_FILE:
        return NotThere(f"{path}: {message}")
    if reply.code == wire.PERMISSION_DENIED:
        return Refused(f"{path}: {message}")
    if any(word in message.lower() for word in NO_SPACE_WORDS):
        return NoSpace(f"{path}: {message}")
    return ServerFailure(f"{path}: {message}")


def check_ok(reply: wire.Reply, path: str) -> None:
    """Raise what a reply stands for unless it is OK."""
    if not isinstance(reply, wire.Status) or reply.code != wire.OK:
        raise failed(reply, path)


def is_missing(reply: wire.Reply) -> bool:
    """Whether the answer is that there is no such file."""
    return isinstance(reply, wire.Status) and reply.code == wire.NO_SUCH_FILE


def attributes(reply: wire.Reply, path: str) -> wire.Attributes | None:
    """The answer to STAT; None when there is no such file."""
    if isinstance(reply, wire.Attributes):
        return reply
    if is_missing(reply):
        return None
    raise failed(reply, path)


def handle(reply: wire.Reply, path: str) -> bytes:
    """The answer to OPEN."""
    if isinstance(reply, wire.Handle):
        return reply.value
    raise failed(reply, path)


def stat(path: str) -> Script[wire.Attributes | None]:
    """Size and time, or None."""
    (reply,) = yield [wire.on_path(wire.STAT, path)]
    return attributes(reply, path)


def remove(path: str) -> Script[None]:
    """Remove a file, or find none."""
    (reply,) = yield [wire.on_path(wire.REMOVE, path)]
    if not is_missing(reply):
        check_ok(reply, path)


def make_dirs(path: str) -> Script[None]:
    """Make a directory and what is above it; Refused when something else has its name."""
    if not path or path == "/":
        return
    (reply,) = yield [wire.on_path(wire.STAT, path)]
    found = attributes(reply, path)
    if found is None:
        yield from make_dirs(posixpath.dirname(path))
        (reply,) = yield [wire.make_dir(path)]
        if isinstance(reply, wire.Status) and reply.code == wire.OK:
            return
        (again,) = yield [wire.on_path(wire.STAT, path)]  # another process may have made it
        found = attributes(again, path)
        if found is None:
            raise failed(reply, path)
    if not stat_bits.S_ISDIR(found.mode):
        raise Refused(f"{path} is no directory on the remote")


def list_dir(path: str) -> Script[tuple[str, ...]]:
    """Names in a directory, sorted; empty when there is none."""
    (reply,) = yield [wire.on_path(wire.OPENDIR, path)]
    if is_missing(reply):
        return ()
    opened, names = handle(reply, path), set[str]()
    while True:
        (reply,) = yield [wire.on_handle(wire.READDIR, opened)]
        if not isinstance(reply, wire.Names):
            break
        names.update(reply.values)
        if not reply.values or len(names) > MAX_NAMES:
            raise Unreachable(f"{path}: the server's listing does not end")
    yield [wire.on_handle(wire.CLOSE, opened)]
    if not isinstance(reply, wire.Status) or reply.code != wire.EOF:
        raise failed(reply, path)
    return tuple(sorted(names - {".", ".."}))


def fetch(path: str, limit: int) -> Script[bytes | None]:
    """A file's bytes, `limit + 1` at the most; None when there is none."""
    (reply,) = yield [wire.open_file(path, wire.FOR_READING)]
    if is_missing(reply):
        return None
    opened = handle(reply, path)
    size_reply, reply = yield [wire.on_handle(wire.FSTAT, opened), wire.read(opened, 0, min(READ_SIZE, limit + 1))]
    expected = size_reply.size if isinstance(size_reply, wire.Attributes) else None
    data = bytearray()
    while isinstance(reply, wire.Data) and reply.value:
        data += reply.value
        if len(data) > limit or len(data) == expected:
            break
        (reply,) = yield [wire.read(opened, len(data), min(READ_SIZE, limit + 1 - len(data)))]
    yield [wire.on_handle(wire.CLOSE, opened)]
    if not isinstance(reply, wire.Data) and not (isinstance(reply, wire.Status) and reply.code == wire.EOF):
        raise failed(reply, path)
    return bytes(data[: limit + 1])


def fetch_small(path: str, limit: int) -> Script[bytes | None]:
    """A file of at most `limit` bytes; BadDocument when it is larger."""
    data = yield from fetch(path, limit)
    if data is not None and len(data) > limit:
        raise BadDocument(f"{path} is larger than {limit} bytes")
    return data


def free_bytes(path: str) -> Script[int | None]:
    """Free space for us where `path` is, or None when the server does not say."""
    (reply,) = yield [wire.extended(wire.STATVFS, wire.path_bytes(path))]
    if isinstance(reply, wire.Status) and reply.code in {wire.UNSUPPORTED, wire.PERMISSION_DENIED}:
        return None  # it has no such extension, or keeps it from us
    if not isinstance(reply, wire.Extended) or len(reply.value) < 40:
        raise failed(reply, path)
    fragment, available = (int.from_bytes(reply.value[at : at + 8], "big") for at in (8, 32))
    return fragment * available


def rename_over(old: str, new: str, extensions: frozenset[bytes]) -> Script[None]:
    """Give a file another name, in place of any file that has it."""
    if wire.POSIX_RENAME in extensions:
        (reply,) = yield [wire.extended(wire.POSIX_RENAME, wire.path_bytes(old) + wire.path_bytes(new))]
    else:  # plain version 3 renames to a free name only
        _, reply = yield [wire.on_path(wire.REMOVE, new), wire.rename(old, new)]
    check_ok(reply, new)


def close_all(handles: Sequence[bytes]) -> Script[None]:
    """Close files of which nothing is wanted any more."""
    if handles:
        yield [wire.on_handle(wire.CLOSE, each) for each in handles]


def together(several: Sequence[Script[T]]) -> Script[list[T]]:
    """Scripts side by side: the requests of all go in one flight. (None of them may wait for anything else.)"""
    results: dict[int, T] = {}
    flights: dict[int, Sequence[wire.Request]] = {}

    def advance(number: int, replies: list[wire.Reply] | None) -> None:
        script = several[number]
        try:
            step = next(script) if replies is None else script.send(replies)
        except StopIteration as end:
            results[number] = end.value
        else:
            assert not isinstance(step, Until)
            flights[number] = step

    for number in range(len(several)):
        advance(number, None)
    while flights:
        current = dict(flights)
        flights.clear()
        replies = yield [request for flight in current.values() for request in flight]
        for number, flight in current.items():
            advance(number, replies[: len(flight)])
            replies = replies[len(flight) :]
    return [results[number] for number in range(len(several))]
