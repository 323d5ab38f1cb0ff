"""Packing: frames in, a bundle and its manifest out (docs/formats.md, sections 1.1 and 2)."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from transfer.checksum import sha256_file
from transfer.codecs.base import Codec
from transfer.codecs.nfz import Nfz
from transfer.durable import publish, write_whole
from transfer.errors import Corrupt, Incomplete, NotFits, Unsupported
from transfer.manifest import FrameEntry, Manifest
from transfer.structure import datasums, scan

_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A file to be packed.

    Attributes
    ----------
    sha256 : str or None
        What the file must still be; None to take it as it is now.
    mtime : float
        Seconds since 1970 UTC.
    identity : mapping
        What the sender read from the header; JSON values.
    """

    path: Path
    name: str
    size: int
    sha256: str | None
    mtime: float
    identity: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle that lies whole in its directory."""

    manifest: Manifest
    manifest_sha256: str
    manifest_path: Path


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
) -> Packed:
    """Pack frames into `outbox/BUNDLE.nfb`, then write `outbox/BUNDLE.json`.

    Both appear whole or not at all, the manifest last. A frame that the codec would not carry without loss goes as
    `nfz`. The same frames give the same `BUNDLE.nfb`.

    Raises
    ------
    Corrupt
        A file is not, or no longer, what its sha256 says.
    OSError
        A file or the outbox cannot be read or written.
    """
    temporary = outbox / f".{bundle}.nfb.tmp"
    entries = []
    try:
        with temporary.open("w+b") as sink:
            for index, frame in enumerate(frames):
                entries.append(_add(sink, index, frame, codec))
            sink.write(bytes(2 * _BLOCK))
        final = outbox / f"{bundle}.nfb"
        digest, size = sha256_file(temporary), temporary.stat().st_size
        publish(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    manifest = Manifest(bundle, site, route, created, software, size, digest, previous, tuple(entries))
    data = manifest.to_json()
    path = outbox / f"{bundle}.json"
    write_whole(path, data)
    return Packed(manifest, hashlib.sha256(data).hexdigest(), path)


def _add(sink: BinaryIO, index: int, frame: RawFrame, codec: Codec) -> FrameEntry:
    start = sink.tell()
    try:
        entry = _member(sink, index, frame, codec)
    except Unsupported:
        sink.seek(start)
        sink.truncate()
        entry = _member(sink, index, frame, Nfz())
    # Read again after packing: a file that changed meanwhile is not what its entry says.
    digest = sha256_file(frame.path)
    if frame.path.stat().st_size != frame.size or digest != (frame.sha256 or digest):
        raise Corrupt(f"{frame.name}: its content has changed since it was seen")
    return replace(entry, sha256=digest)


def _member(sink: BinaryIO, index: int, frame: RawFrame, codec: Codec) -> FrameEntry:
    """Write one member: room for its tar header, its data, then the header when the length is known."""
    start = sink.tell()
    member = f"{index:04d}-{frame.name}{codec.suffix}"
    header = tar_header(member, 0)
    sink.write(header)
    counting = Counting(sink)
    codec.encode(frame.path, counting)  # type: ignore[arg-type]
    end = sink.tell()
    sink.write(bytes(-counting.count % _BLOCK))
    after = sink.tell()
    sink.seek(start)
    final = tar_header(member, counting.count)
    if len(final) != len(header):
        raise Unsupported(f"{frame.name}: {end - start} bytes do not fit the tar header that was kept free")
    sink.write(final)
    sink.seek(after)
    return FrameEntry(
        name=frame.name,
        size=frame.size,
        sha256=frame.sha256 or "",
        mtime=datetime.fromtimestamp(frame.mtime, UTC),
        datasums=_datasums(frame.path),
        identity=frame.identity,
        codec=codec.name,
        parameters=dict(codec.parameters),
        fidelity=codec.fidelity,
        member=member,
        offset=start + len(header),
        packed_size=counting.count,
        packed_sha256=counting.digest.hexdigest(),
    )


def tar_header(name: str, size: int) -> bytes:
    """The header blocks of a regular member: POSIX (pax), owner and group 0, mode 0444, mtime 0."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o444, 0
    # GNU's binary form for sizes over 8 GiB keeps the header's length the same for every size.
    return info.tobuf(tarfile.GNU_FORMAT if len(name.encode()) <= 100 else tarfile.PAX_FORMAT, "utf-8")


def _datasums(path: Path) -> tuple[int, ...]:
    try:
        return datasums(path, scan(path))
    except (NotFits, Incomplete):
        return ()


class Counting(io.RawIOBase):
    """A sink that counts and hashes what goes through it."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self.count = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Write through."""
        view = memoryview(data).cast("B")
        self._sink.write(view)
        self.digest.update(view)
        self.count += len(view)
        return len(view)
