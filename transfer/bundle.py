"""The bundle file: a tar archive of which every byte but the members' data follows from the manifest."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from transfer.checksum import CHUNK
from transfer.documents import MAX_DOCUMENT
from transfer.errors import BadDocument, Corrupt, Incomplete
from transfer.inbox import open_regular
from transfer.manifest import FrameEntry, Manifest

_EXTENSION: Final = re.compile(r"(\.fits?)?\.[A-Za-z0-9]{1,8}\Z", re.ASCII | re.IGNORECASE)
BLOCK: Final = 512
MAX_FRAME: Final = 64 << 30  # bytes of a frame, packed or not; an uncompressed focal plane of LSST has 13 GB
MAX_BUNDLE: Final = 1 << 40  # bytes of a bundle, and of all its frames restored
TRAILER: Final = bytes(2 * BLOCK)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in a directory: `path` is its file, `manifest_path` its manifest beside it."""

    path: Path
    manifest_path: Path
    manifest: Manifest
    manifest_sha256: str


def open_bundle(path: Path) -> Bundle:
    """Read the manifest of a bundle, given the path of the manifest or of the bundle file; the file is not looked at.

    Raises
    ------
    BadDocument
        The manifest is missing or malformed, or names another bundle than its file does.
    """
    manifest_path = path.with_suffix(".json")
    if path.suffix not in {".json", ".nfb"}:
        raise BadDocument(f"{path.name} is neither a bundle (.nfb) nor a manifest (.json)")
    data = read_document(manifest_path)
    manifest = Manifest.from_json(data)
    if manifest.bundle != manifest_path.stem:
        raise BadDocument(
            f"manifest.bundle: expected {manifest_path.stem}, as the file is called, got {manifest.bundle}"
        )
    return Bundle(path.with_suffix(".nfb"), manifest_path, manifest, hashlib.sha256(data).hexdigest())


def read_document(path: Path) -> bytes:
    """Bytes of a document of limited size; BadDocument when there is none."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_DOCUMENT + 1)
    except FileNotFoundError:
        raise BadDocument(f"there is no {path.name}") from None
    except Corrupt as error:
        raise BadDocument(str(error)) from error
    if len(data) > MAX_DOCUMENT:
        raise BadDocument(f"{path.name} is larger than {MAX_DOCUMENT} bytes")
    return data


def member_name(index: int, name: str, suffix: str) -> str:
    """Name of a frame's member, at most 255 bytes."""
    room = 255 - len(f"{index:04d}-{suffix}".encode())
    return f"{index:04d}-{name.encode()[:room].decode(errors='ignore')}{suffix}"


def name_apart(name: str, sha256: str) -> str:
    """A name for a frame whose name is taken by another content: the hash's first 8 digits before the extension."""
    match = _EXTENSION.search(name)
    stem, extension = (name[: match.start()], match.group()) if match and match.start() else (name, "")
    tail = f"~{sha256[:8]}{extension}"
    return stem.encode()[: 255 - len(tail)].decode(errors="ignore") + tail


def member_header(index: int, member: str, size: int) -> bytes:
    """The tar headers in front of a member's data."""
    if member.isascii() and len(member) <= 100:
        return _ustar(member.encode(), size, b"0")
    record = _pax_record("path", member)
    padded = record.ljust(_padded(len(record)), b"\0")
    return _ustar(f"PaxHeaders/{index:04d}".encode(), len(record), b"x") + padded + _ustar(b"%04d" % index, size, b"0")


def padding(size: int) -> bytes:
    """The zeros behind a member's data."""
    return bytes(_padded(size) - size)


class Slice(io.RawIOBase):
    """A part of an open file as a file of its own; positions are kept apart, so several can be read in turn."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._descriptor = file.fileno()
        self._position = offset
        self._left = size

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the part goes."""
        data = os.pread(self._descriptor, min(len(buffer), self._left), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        self._left -= len(data)
        return len(data)


def member_data(file: BinaryIO, entry: FrameEntry) -> BinaryIO:
    """The packed bytes of a frame in an open bundle."""
    return io.BufferedReader(Slice(file, entry.offset, entry.packed_size), 1 << 20)


def verify_bundle(bundle: Bundle, on_bytes: Callable[[int], None] | None = None) -> None:
    """Read a bundle once and compare it with its manifest: every header, offset, length and hash.

    Raises
    ------
    Corrupt
        Anything differs, or the manifest contradicts itself.
    Incomplete
        There is no bundle file.
    """
    manifest = bundle.manifest
    _check_sizes(manifest)
    try:
        file = open_regular(bundle.path)
    except FileNotFoundError:
        raise Incomplete(f"there is no {bundle.path.name}") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size != manifest.size:
            raise Corrupt(f"{bundle.path.name} has {size} bytes, its manifest says {manifest.size}")
        reader = _Reader(file, on_bytes)
        for index, entry in enumerate(manifest.frames):
            reader.demand(member_header(index, entry.member, entry.packed_size), entry.name)
            if reader.position != entry.offset:
                raise Corrupt(f"{entry.name} lies at byte {reader.position}, the manifest says {entry.offset}")
            if reader.digest(entry.packed_size) != entry.packed_sha256:
                raise Corrupt(f"the packed bytes of {entry.name} do not have the manifest's SHA-256")
            reader.demand(padding(entry.packed_size), entry.name)
        reader.demand(TRAILER, "the end")
        if file.read(1) or reader.sha256 != manifest.sha256:
            raise Corrupt(f"{bundle.path.name} does not have the manifest's SHA-256")


def _check_sizes(manifest: Manifest) -> None:
    """A sparse file or a few bytes of zstd may claim any size: what nobody would send is not begun."""
    for entry in manifest.frames:
        if max(entry.size, entry.packed_size) > MAX_FRAME:
            raise Corrupt(f"{entry.name} is larger than {MAX_FRAME} bytes")
    if max(manifest.size, sum(entry.size for entry in manifest.frames)) > MAX_BUNDLE:
        raise Corrupt(f"{manifest.bundle} is larger than {MAX_BUNDLE} bytes")


class _Reader:
    """Reads in order, hashing everything."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None] | None) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._on_bytes = on_bytes
        self.position = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def demand(self, expected: bytes, where: str) -> None:
        if self._take(len(expected)) != expected:
            raise Corrupt(f"the bundle is not laid out as the manifest says, at {where}")

    def digest(self, size: int) -> str:
        own = hashlib.sha256()
        while size > 0:
            data = self._take(min(size, CHUNK))
            if not data:
                raise Corrupt("the bundle ends within a frame")
            own.update(data)
            size -= len(data)
        return own.hexdigest()

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        self.position += len(data)
        if self._on_bytes:
            self._on_bytes(len(data))
        return data


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _pax_record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = len(body) + 1
    while length != len(str(length)) + len(body):
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _ustar(name: bytes, size: int, kind: bytes) -> bytes:
    length = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    fields = (
        name.ljust(100, b"\0"),
        b"0000444\0" + b"0000000\0" + b"0000000\0",
        length,
        b"00000000000\0",
        b" " * 8,
        kind + bytes(100),
        b"ustar\x0000" + bytes(32 + 32 + 8 + 8 + 155 + 12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
