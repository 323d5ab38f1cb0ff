"""What is said in SFTP version 3 (draft-ietf-secsh-filexfer-02) and OpenSSH's extensions; `replies` reads it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

VERSION: Final = 3

# What a request asks for.
INIT, OPEN, CLOSE, READ, WRITE = 1, 3, 4, 5, 6
FSTAT, OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME = 8, 11, 12, 13, 14, 17, 18
EXTENDED: Final = 200

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 0, 1, 2, 3, 4, 8

FOR_READING: Final = 0x01
FOR_WRITING: Final = 0x02 | 0x01 | 0x08  # read (a part's tail is compared), write, make
ANEW: Final = 0x10  # and cut to nothing
FOR_MORE: Final = 0x02  # write to what is there

POSIX_RENAME: Final = b"posix-rename@openssh.com"
FSYNC: Final = b"fsync@openssh.com"
STATVFS: Final = b"statvfs@openssh.com"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its type and what follows its id."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """`OK`, `EOF` or why not."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Handle:
    """An open file or directory, valid on the session that opened it."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a file."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Names:
    """Some entries of a directory."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """Size in bytes, mode bits and modification time in seconds since 1970, 0 where the server does not say."""

    size: int
    mode: int
    mtime: int


@dataclass(frozen=True, slots=True)
class Extended:
    """What an extension answers."""

    value: bytes


Reply = Status | Handle | Data | Names | Attributes | Extended


def string(value: bytes) -> bytes:
    """Length and bytes."""
    return struct.pack(">I", len(value)) + value


def path_bytes(path: str) -> bytes:
    """A path as the server takes it; bytes that are not UTF-8 come back as they were listed."""
    return string(path.encode("utf-8", "surrogateescape"))


def on_path(kind: int, path: str) -> Request:
    """STAT, REMOVE or OPENDIR of a path."""
    return Request(kind, path_bytes(path))


def on_handle(kind: int, handle: bytes) -> Request:
    """CLOSE, FSTAT or READDIR of a handle."""
    return Request(kind, string(handle))


def open_file(path: str, flags: int) -> Request:
    """OPEN with the server's own default mode."""
    return Request(OPEN, path_bytes(path) + struct.pack(">II", flags, 0))


def make_dir(path: str) -> Request:
    """MKDIR with the server's own default mode."""
    return Request(MKDIR, path_bytes(path) + struct.pack(">I", 0))


def read(handle: bytes, offset: int, length: int) -> Request:
    """READ of some bytes."""
    return Request(READ, string(handle) + struct.pack(">QI", offset, length))


def rename(old: str, new: str) -> Request:
    """RENAME of version 3, which refuses a name that is taken."""
    return Request(RENAME, path_bytes(old) + path_bytes(new))


def extended(name: bytes, argument: bytes) -> Request:
    """One of the server's extensions."""
    return Request(EXTENDED, string(name) + argument)


def framed(request: Request, number: int) -> bytes:
    """A whole request packet."""
    return struct.pack(">IBI", len(request.body) + 5, request.kind, number) + request.body


def write_head(number: int, handle: bytes, offset: int, length: int) -> bytes:
    """A WRITE packet up to its data."""
    head = struct.pack(">QI", offset, length)
    return struct.pack(">IBI", 9 + len(handle) + len(head) + length, WRITE, number) + string(handle) + head


def hello() -> bytes:
    """The packet that begins a session."""
    return struct.pack(">IBI", 5, INIT, VERSION)
