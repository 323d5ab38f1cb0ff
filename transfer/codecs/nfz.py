"""The transport codec: any file back byte for byte, FITS images small (docs/formats.md section 4)."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, TypeVar

import zstandard

from transfer.checksum import Meter
from transfer.codecs.base import BYTES, Encoded, Parameter, Sink
from transfer.codecs.sources import layout_of
from transfer.errors import Corrupt, Incomplete
from transfer.structure import FitsLayout

MAGIC: Final = b"\x89NFZ\r\n\x1a\n"
VERSION: Final = 1
PROLOGUE: Final = struct.Struct("<8sHHIQ")
HEAD: Final = struct.Struct("<BBHIII")
END, STORED, ZSTD, IMAGE = range(4)
MAX_SECTION: Final = 16 << 20
STRIPE: Final = 4 << 20  # bytes of a section: large enough for the entropy coder, small enough to stream
TILE: Final = 64

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of the original: `pixel` bytes per pixel (0: not an image) in rows of `width` pixels."""

    length: int
    pixel: int = 0
    width: int = 0


@dataclass(frozen=True, slots=True)
class _Head:
    kind: int
    pixel: int
    tile: int
    length: int
    packed: int
    width: int


@dataclass(frozen=True, slots=True)
class Nfz:
    """Lossless transport codec; `threads` sections are coded side by side (the result does not depend on it)."""

    threads: int = 1

    name: ClassVar[str] = "nfz"
    suffix: ClassVar[str] = ".nfz"
    parameters: ClassVar[Mapping[str, Parameter]] = {"version": VERSION}

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:  # noqa: ARG002 - needs no scratch space
        """See `Codec.encode`; never says Unsupported."""
        layout = layout_of(source)
        meter = Meter(layout)
        with source.open("rb") as file:
            size = layout.size if layout else file.seek(0, 2)
            file.seek(0)

            def pieces() -> Iterator[tuple[Section, bytes]]:
                for section in sections(layout, size):
                    data = file.read(section.length)
                    if len(data) != section.length:
                        raise Incomplete(f"{source.name} became shorter while it was read")
                    yield section, data

            sink.write(PROLOGUE.pack(MAGIC, VERSION, 0, 0, size))
            # The hash is taken by this thread while the others compress.
            for head, payload in _in_order(
                _encode_section, _each(pieces(), lambda p: meter.update(p[1])), self.threads
            ):
                sink.write(HEAD.pack(head.kind, head.pixel, head.tile, head.length, head.packed, head.width))
                sink.write(payload)
            if file.read(1):
                raise Incomplete(f"{source.name} grew while it was read")
        sink.write(HEAD.pack(END, 0, 0, 0, 32, 0) + bytes.fromhex(meter.sha256))
        return Encoded(meter.size, meter.sha256, meter.datasums, BYTES)

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:  # noqa: ARG002
        """See `Codec.decode`."""
        magic, version, flags, reserved, claimed = PROLOGUE.unpack(_exactly(packed, PROLOGUE.size))
        if magic != MAGIC:
            raise Corrupt("not an nfz file")
        if (version, flags, reserved) != (VERSION, 0, 0):
            raise Corrupt(f"nfz version {version} with flags {flags:#x} is not known here")
        if claimed != size:
            raise Corrupt(f"the nfz file restores {claimed} bytes, the manifest says {size}")
        digest = hashlib.sha256()
        for data in _in_order(_decode_section, _read_sections(packed, size), self.threads):
            digest.update(data)
            sink.write(data)
        if _exactly(packed, 32) != digest.digest():
            raise Corrupt("the restored bytes do not have the SHA-256 that the nfz file says")
        if packed.read(1):
            raise Corrupt("bytes follow the end of the nfz file")


def sections(layout: FitsLayout | None, size: int) -> Iterator[Section]:
    """Cut a file into sections: headers and whatever is not an image as bytes, images in stripes of whole rows."""
    done = 0
    for span in layout.hdus if layout else ():
        if not span.is_image:
            continue
        yield from _cut(span.data_offset - done)
        pixel, width = abs(span.bitpix) // 8, min(span.shape[-1], STRIPE // 8)
        pixels = span.data_size // pixel
        rows = max(1, STRIPE // (width * pixel))
        while pixels >= width:
            height = min(rows, pixels // width)
            yield Section(height * width * pixel, pixel, width)
            pixels -= height * width
        done = span.data_offset + span.data_size - pixels * pixel
    yield from _cut(size - done)


def _cut(length: int) -> Iterator[Section]:
    while length > 0:
        yield Section(min(length, STRIPE))
        length -= STRIPE


class _Tools(threading.local):
    """Compressors of one thread; they are not to be shared."""

    def __init__(self) -> None:
        self.text = zstandard.ZstdCompressor(level=3, write_content_size=True)
        # Residuals hold no repetitions worth finding: a small table and long matches make the entropy coder's way free.
        planes = zstandard.ZstdCompressionParameters.from_level(
            1, strategy=zstandard.STRATEGY_FAST, min_match=7, hash_log=12, window_log=22, write_content_size=True
        )
        self.planes = zstandard.ZstdCompressor(compression_params=planes)
        self.unzip = zstandard.ZstdDecompressor(max_window_size=MAX_SECTION)


_tools = _Tools()


def _encode_section(piece: tuple[Section, bytes]) -> tuple[_Head, bytes]:
    section, data = piece
    best, head = data, _Head(STORED, 0, 0, section.length, section.length, 0)
    if section.pixel:
        from transfer.codecs.residuals import to_planes  # late: it brings numba

        packed = _tools.planes.compress(to_planes(data, section.pixel, section.width, TILE).data)
        if len(packed) < len(best):
            best = packed
            head = _Head(IMAGE, section.pixel, TILE, section.length, len(packed), section.width)
    if len(best) > 0.8 * len(
        data
    ):  # not an image's noise: a constant, a mask, a header, or nothing that can be squeezed
        packed = _tools.text.compress(data)
        if len(packed) < len(best):
            best, head = packed, _Head(ZSTD, 0, 0, section.length, len(packed), 0)
    return head, best


def _read_sections(packed: BinaryIO, size: int) -> Iterator[tuple[_Head, bytes]]:
    """Heads and payloads up to the end's head, within the limits of the format."""
    left, budget = size, size // 256 + 4097
    while True:
        head = _Head(*HEAD.unpack(_exactly(packed, HEAD.size)))
        if head.kind == END:
            if left or head != _Head(END, 0, 0, 0, 32, 0):
                raise Corrupt(f"the nfz file ends {left} bytes early, or its end is malformed")
            return
        budget -= 1
        _check_head(head, left, budget)
        left -= head.length
        yield head, _exactly(packed, head.packed)


def _check_head(head: _Head, left: int, budget: int) -> None:
    if not (1 <= head.length <= min(left, MAX_SECTION) and head.packed <= head.length and budget >= 0):
        raise Corrupt("a section of the nfz file is larger than the format or the file allows")
    if head.kind == IMAGE:
        row = head.pixel * head.width
        if head.pixel not in {1, 2, 4, 8} or row < 1 or head.length % row or head.tile < 1:
            raise Corrupt("an image section of the nfz file is malformed")
    elif (head.pixel, head.tile, head.width) != (0, 0, 0) or head.kind not in {STORED, ZSTD}:
        raise Corrupt(f"a section of the nfz file has the unknown type {head.kind} or the wrong fields")
    elif head.kind == STORED and head.packed != head.length:
        raise Corrupt("a stored section of the nfz file has two lengths")


def _decode_section(section: tuple[_Head, bytes]) -> bytes | memoryview:
    head, payload = section
    if head.kind == STORED:
        return payload
    try:
        if zstandard.frame_content_size(payload) != head.length:  # checked first: it decides what is allocated
            raise Corrupt("a zstd frame does not restore what its section says")
        data = _tools.unzip.decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a zstd frame is damaged: {error}") from error
    if len(data) != head.length:
        raise Corrupt("a zstd frame does not restore what its section says")
    if head.kind == ZSTD:
        return data
    from transfer.codecs.residuals import from_planes

    return from_planes(data, head.pixel, head.width, head.tile)


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise Corrupt("the nfz file is cut short")
    return data


def _each(items: Iterable[T], action: Callable[[T], None]) -> Iterator[T]:
    for item in items:
        yield item
        action(item)


def _in_order(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Map with up to `threads` threads, results in order, few items in flight: memory stays bounded."""
    if threads <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
