"""Frames → one bundle in the outbox."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO

from transfer.bundle import TRAILER, Bundle, member_header, member_name, open_bundle, padding
from transfer.checksum import sha256_file
from transfer.codecs.base import Codec, Encoded
from transfer.codecs.nfz import Nfz
from transfer.documents import check_name, is_bundle_id
from transfer.durable import make_dirs, publish, remove, space_checked, temporary, write_whole
from transfer.errors import BadDocument, Incomplete, Refused, TransferError, Unsupported
from transfer.manifest import FrameEntry, Manifest

__all__ = ["Bundle", "RawFrame", "pack"]

Skip = Callable[["RawFrame", Exception], None]


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame on the camera's disk: size in bytes, mtime in seconds since 1970, sha256 where it is known already."""

    path: Path
    name: str
    size: int
    sha256: str | None
    mtime: float
    identity: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, identity: Mapping[str, Any] | None = None) -> RawFrame:
        """The frame that a path holds now."""
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise BadDocument(f"{path.name} is not a regular file")
        return cls(path, path.name, status.st_size, None, status.st_mtime, identity or {})


def pack(
    frames: Sequence[RawFrame],
    outbox: Path,
    *,
    bundle: str,
    site: str,
    route: str,
    codec: Codec,
    created: datetime,
    previous: str | None,
    software: str,
    on_bytes: Callable[[int], None] | None = None,
    on_skip: Skip | None = None,
) -> Bundle:
    """Pack frames into `outbox/BUNDLE.nfb` with its manifest, durably; the manifest appears last.

    A frame that the codec does not support is packed with `nfz`, and its entry says so. The same arguments give the
    same bytes. A bundle of the same frames that is already there is returned as it is.

    Parameters
    ----------
    on_bytes
        Told the size of each original as it is done.
    on_skip
        When given, a frame that cannot be packed is reported to it and left out; otherwise its error comes out.

    Raises
    ------
    Incomplete
        A frame changed since it was seen, or while it was read.
    BadDocument
        A name or an id that a manifest cannot carry.
    Refused
        The outbox holds another bundle of that id.
    NoSpace, OSError
        The outbox is full; a frame cannot be read.
    """
    if not is_bundle_id(bundle):
        raise BadDocument(f"bundle id {bundle!r}: expected 1 to 128 letters, digits, _ or -")
    final = outbox / f"{bundle}.nfb"
    if final.with_suffix(".json").exists():
        if final.is_file():
            return _same(open_bundle(final), frames)
        remove(final.with_suffix(".json"))  # a manifest without its bundle is worth nothing
    make_dirs(outbox)
    tmp = temporary(final)
    try:
        with space_checked(outbox), tmp.open("xb+") as file:
            entries = _write(file, frames, codec, outbox, on_bytes, on_skip)
            if not entries:
                raise BadDocument("a bundle needs at least one frame that can be packed")
            file.write(TRAILER)
            size = file.tell()
        manifest = Manifest(bundle, site, route, created, software, size, sha256_file(tmp), previous, tuple(entries))
        document = manifest.to_json()
        Manifest.from_json(document)  # never publish what a receiver would refuse to read
        tmp.chmod(0o644)
        publish(tmp, final)
        write_whole(final.with_suffix(".json"), document)
    finally:
        tmp.unlink(missing_ok=True)
    return Bundle(final, final.with_suffix(".json"), manifest, hashlib.sha256(document).hexdigest())


def _write(
    file: BinaryIO,
    frames: Sequence[RawFrame],
    codec: Codec,
    scratch: Path,
    on_bytes: Callable[[int], None] | None,
    on_skip: Skip | None,
) -> list[FrameEntry]:
    entries: list[FrameEntry] = []
    for frame in frames:
        start = file.tell()
        try:
            entries.append(_add(file, len(entries), frame, codec, scratch))
        except (TransferError, OSError) as error:
            if on_skip is None or not _about_the_frame(error, frame):
                raise
            file.seek(start)
            file.truncate()
            on_skip(frame, error)
        if on_bytes:
            on_bytes(frame.size)
    return entries


def _about_the_frame(error: Exception, frame: RawFrame) -> bool:
    """Whether another frame may still be packed: a full disk would stop it too."""
    if isinstance(error, OSError):
        return error.filename is not None and Path(os.fsdecode(error.filename)) == frame.path
    return isinstance(error, Incomplete | BadDocument | Unsupported)


def _add(file: BinaryIO, index: int, frame: RawFrame, codec: Codec, scratch: Path) -> FrameEntry:
    if wrong := check_name(frame.name):
        raise BadDocument(f"frame name {frame.name!r}: expected {wrong}")
    before = _state(frame.path)
    if before[0] != frame.size:
        raise Incomplete(f"{frame.name} changed since it was seen: {before[0]} bytes, not {frame.size}")
    start = file.tell()
    try:
        return _add_with(file, index, frame, codec, scratch, before)
    except Unsupported:
        file.seek(start)
        file.truncate()
        return _add_with(file, index, frame, Nfz(), scratch, before)


def _add_with(
    file: BinaryIO, index: int, frame: RawFrame, codec: Codec, scratch: Path, before: tuple[int, int]
) -> FrameEntry:
    start = file.tell()
    member = member_name(index, frame.name, codec.suffix)
    file.write(member_header(index, member, 0))
    offset = file.tell()
    sink = _HashingSink(file)
    encoded = codec.encode(frame.path, sink, scratch=scratch)
    _check_unchanged(frame, encoded, before)
    file.write(padding(sink.size))
    end = file.tell()
    file.seek(start)
    file.write(member_header(index, member, sink.size))
    file.seek(end)
    return FrameEntry(
        name=frame.name,
        size=encoded.size,
        sha256=encoded.sha256,
        mtime=datetime.fromtimestamp(frame.mtime, UTC),
        datasums=encoded.datasums,
        identity=frame.identity,
        codec=codec.name,
        parameters=codec.parameters,
        fidelity=encoded.fidelity,
        member=member,
        offset=offset,
        packed_size=sink.size,
        packed_sha256=sink.sha256,
    )


def _check_unchanged(frame: RawFrame, encoded: Encoded, before: tuple[int, int]) -> None:
    if encoded.size != frame.size or _state(frame.path) != before:
        raise Incomplete(f"{frame.name} changed while it was packed")
    if frame.sha256 is not None and encoded.sha256 != frame.sha256:
        raise Incomplete(f"{frame.name} changed since it was seen: its SHA-256 is another")


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _same(bundle: Bundle, frames: Sequence[RawFrame]) -> Bundle:
    """The bundle that a run before a crash left, if it holds these frames."""
    there = [(entry.name, entry.size) for entry in bundle.manifest.frames]
    hashes = [entry.sha256 for entry in bundle.manifest.frames]
    if there != [(frame.name, frame.size) for frame in frames] or any(
        frame.sha256 not in {None, sha256} for frame, sha256 in zip(frames, hashes, strict=True)
    ):
        raise Refused(f"{bundle.manifest_path} is there already, with other frames")
    return bundle


class _HashingSink:
    """Counts and hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview, /) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)
