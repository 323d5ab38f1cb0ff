"""A bundle → its frames, verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from transfer.bundle import member_data, name_apart, open_bundle, verify_bundle
from transfer.checksum import Meter, measure, sha256_file
from transfer.codecs.base import Sink
from transfer.codecs.quicklook_headers import original_of
from transfer.codecs.registry import LOSSY, codec_named
from transfer.codecs.sources import layout_of
from transfer.durable import make_dirs, publish_new, space_checked, temporary
from transfer.errors import Corrupt, Incomplete, NotFits, Refused
from transfer.inbox import open_regular
from transfer.manifest import FrameEntry

__all__ = ["Restored", "open_bundle", "restore", "unpack"]


@dataclass(frozen=True, slots=True)
class Restored:
    """A frame on the disk again; `present` when the same bytes were there before."""

    entry: FrameEntry
    path: Path
    sha256: str
    present: bool


class _Telling:
    """A sink that tells of the bytes that go through it."""

    def __init__(self, sink: Sink, on_bytes: Callable[[int], None]) -> None:
        self._sink = sink
        self._on_bytes = on_bytes

    def write(self, data: bytes | memoryview, /) -> int:
        """See `Sink.write`."""
        written = self._sink.write(data)
        self._on_bytes(written)
        return written


def restore(file: BinaryIO, entry: FrameEntry, target: Path, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    """Decode a frame of a verified, open bundle into a new file and verify it; returns the SHA-256 of what was written.

    `on_bytes` is told of the bytes as they are written and as they are read again.

    Raises
    ------
    Corrupt
        It cannot be decoded, or is not what the manifest says: same bytes, for `pixels` the same DATASUMs, for an
        approximation a header that names the original.
    Unsupported
        The codec is not known here.
    NoSpace, OSError
        The file cannot be written.
    """
    codec = codec_named(entry.codec)
    with space_checked(target), target.open("xb") as sink:
        told = _Telling(sink, on_bytes)
        codec.decode(member_data(file, entry), told, size=entry.size, scratch=target.parent)
    meter = measure(target, layout_of(target), on_bytes)
    _check(entry, meter)
    if entry.fidelity.restores == "approximation":
        _check_approximation(entry, target)
    return meter.sha256


def _check_approximation(entry: FrameEntry, target: Path) -> None:
    """Nobody may take it for the original: it names the original that the manifest names."""
    try:
        original = original_of(target) if entry.codec in LOSSY else ""
    except (NotFits, Incomplete) as error:
        raise Corrupt(f"{entry.name}: the approximation is not whole FITS: {error}") from error
    if original != entry.sha256:
        raise Corrupt(f"{entry.name}: the approximation does not say of which original it is one")


def _check(entry: FrameEntry, meter: Meter) -> None:
    if entry.fidelity.restores == "bytes" and (meter.size, meter.sha256) != (entry.size, entry.sha256):
        raise Corrupt(f"{entry.name}: the restored file does not have the manifest's size and SHA-256")
    if entry.fidelity.restores == "pixels" and not entry.datasums:
        raise Corrupt(f"{entry.name}: same pixels are promised of a file that has no FITS structure")
    if entry.fidelity.restores != "approximation" and meter.datasums != entry.datasums:
        raise Corrupt(f"{entry.name}: the restored data do not have the manifest's DATASUMs")


def unpack(path: Path, dest: Path, *, on_frame: Callable[[Restored], None] | None = None) -> tuple[Restored, ...]:
    """Restore every frame of a bundle into a directory; a file that is there with the same bytes is left alone.

    Parameters
    ----------
    path
        The bundle (`.nfb`) or its manifest (`.json`); both must lie side by side.

    Raises
    ------
    BadDocument, Corrupt, Incomplete
        The manifest or the bundle is not what it should be; nothing was written.
    Refused
        A file of a frame's name is there with another content; frames before it are in place.
    NoSpace, OSError
        The files cannot be written.
    """
    bundle = open_bundle(path)
    verify_bundle(bundle)
    make_dirs(dest)
    done: list[Restored] = []
    with open_regular(bundle.path) as file:
        for entry in bundle.manifest.frames:
            restored = _unpack_one(file, entry, dest, {each.path for each in done})
            done.append(restored)
            if on_frame:
                on_frame(restored)
    return tuple(done)


def _unpack_one(file: BinaryIO, entry: FrameEntry, dest: Path, taken: set[Path]) -> Restored:
    final = dest / entry.name
    tmp = temporary(final)
    try:
        sha256 = restore(file, entry, tmp)
        if final in taken:  # two frames of the bundle have the same name
            final = dest / name_apart(entry.name, sha256)
        tmp.chmod(0o644)
        try:
            publish_new(tmp, final)
        except FileExistsError:
            if final.is_symlink() or not final.is_file() or sha256_file(final) != sha256:
                raise Refused(f"{final} is there already, with another content") from None
            return Restored(entry, final, sha256, present=True)
        return Restored(entry, final, sha256, present=False)
    finally:
        tmp.unlink(missing_ok=True)
