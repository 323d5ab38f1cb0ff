"""A bundle → its frames, verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from transfer.bundle import member_data, name_apart, open_bundle, verify_bundle
from transfer.checksum import Meter, measure, sha256_file
from transfer.codecs.raw import layout_of
from transfer.codecs.registry import codec_named
from transfer.durable import make_dirs, publish_new, space_checked, temporary
from transfer.errors import Corrupt, Refused
from transfer.manifest import FrameEntry

__all__ = ["Restored", "open_bundle", "restore", "unpack"]


@dataclass(frozen=True, slots=True)
class Restored:
    """A frame on the disk again; `present` when the same bytes were there before."""

    entry: FrameEntry
    path: Path
    sha256: str
    present: bool


def restore(file: BinaryIO, entry: FrameEntry, target: Path) -> str:
    """Decode a frame of a verified, open bundle into a new file and verify it; returns the SHA-256 of what was written.

    Raises
    ------
    Corrupt
        It cannot be decoded, or is not what the manifest says: same bytes, or for `pixels` the same DATASUMs.
    Unsupported
        The codec is not known here.
    NoSpace, OSError
        The file cannot be written.
    """
    codec = codec_named(entry.codec)
    with space_checked(target), target.open("xb") as sink:
        codec.decode(member_data(file, entry), sink, size=entry.size, scratch=target.parent)
    meter = measure(target, layout_of(target))
    _check(entry, meter)
    return meter.sha256


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
    with bundle.path.open("rb") as file:
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
