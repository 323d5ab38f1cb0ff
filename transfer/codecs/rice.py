"""Tile compression as fpack does it: what comes out is a valid `.fits.fz` (docs/formats.md section 3)."""

from __future__ import annotations

import contextlib
import io
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from transfer.cards import card_int
from transfer.checksum import CHUNK, Datasum, Meter
from transfer.codecs import rice_headers
from transfer.codecs.base import BYTES, PIXELS, Encoded, Parameter, Sink
from transfer.codecs.sources import place, uncompressed
from transfer.durable import PREFIX
from transfer.errors import Corrupt, Incomplete, NotFits, Unsupported
from transfer.structure import BLOCK, FitsLayout, HduSpan, scan


@dataclass(frozen=True, slots=True)
class Rice:
    """Rice tile compression, lossless for integers of 8, 16 and 32 bits; a tile is a row."""

    name: ClassVar[str] = "rice"
    suffix: ClassVar[str] = ".fz"
    parameters: ClassVar[Mapping[str, Parameter]] = {}

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:  # noqa: ARG002 - needs no scratch space
        """See `Codec.encode`; takes as much memory as the largest image's compressed form may take."""
        layout = _accept(source)
        meter = Meter(layout)
        exact = True
        with source.open("rb", buffering=0) as raw:
            file = _Reader(raw, meter.update)
            for span in layout.hdus:
                header = file.take(span.data_offset - span.header_offset)
                if span.is_image:
                    exact &= _pack(file, span, header, sink)
                else:
                    sink.write(header)
                    file.copy(span.end_offset - span.data_offset, sink)
            file.copy(layout.trailing, sink)
            if raw.read(1):
                raise Incomplete(f"{source.name} grew while it was read")
        return Encoded(meter.size, meter.sha256, meter.datasums, BYTES if exact else PIXELS)

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:
        """See `Codec.decode`."""
        with _scratch_file(scratch) as copy:
            with copy.open("wb") as target:
                shutil.copyfileobj(packed, target, CHUNK)
            try:
                layout = scan(copy)
            except (NotFits, Incomplete) as error:
                raise Corrupt(f"the compressed file is not whole FITS: {error}") from error
            with copy.open("rb", buffering=0) as raw:
                _restore(_Reader(raw), layout, _Limited(sink, 2 * size + (1 << 20)))


class _Reader:
    """Reads a file once from start to end, and shows what it reads to `seen`."""

    def __init__(self, file: io.FileIO, seen: Callable[[memoryview], None] | None = None) -> None:
        self._file, self._seen = file, seen

    def fill(self, buffer: np.ndarray) -> None:
        """Read as many bytes as the buffer (uint8) holds."""
        done = 0
        while done < buffer.size:
            count = self._file.readinto(buffer[done:].data)
            if not count:
                raise Incomplete("the file became shorter while it was read")
            done += count
        if self._seen:
            self._seen(buffer.data)

    def take(self, length: int) -> bytes:
        """The next bytes."""
        buffer = np.empty(length, np.uint8)
        self.fill(buffer)
        return buffer.tobytes()

    def copy(self, length: int, sink: Sink) -> None:
        """Write the next bytes as they are."""
        while length > 0:
            sink.write(self.take(min(length, CHUNK)))
            length -= CHUNK


class _Limited:
    """A sink that takes so many bytes and no more."""

    def __init__(self, sink: Sink, left: int) -> None:
        self._sink, self._left = sink, left

    def write(self, data: bytes | memoryview, /) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise Corrupt("the compressed file would restore to more than the manifest allows")
        return self._sink.write(data)


@contextlib.contextmanager
def _scratch_file(directory: Path) -> Iterator[Path]:
    """A name for a temporary file that a rescan or a sweep knows as such; the file is gone afterwards."""
    path = directory / f"{PREFIX}rice-{secrets.token_hex(8)}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _accept(source: Path) -> FitsLayout:
    from transfer.codecs.rice_table import MAX_AXES, MAX_HEAP, largest_heap  # late: it brings numba

    layout = uncompressed(source)
    for span in layout.hdus:
        where = place(span, source)
        if not span.is_image:
            continue
        if span.bitpix < 0:
            raise Unsupported(f"{where} is floating-point, which Rice would have to round")
        if span.bitpix == 64:
            raise Unsupported(f"{where}: Rice cannot carry 64-bit integers")
        if len(span.shape) > MAX_AXES or largest_heap(span) > MAX_HEAP:
            raise Unsupported(f"{where} has more axes or pixels than readers of compressed images take")
    return layout


def _pack(file: _Reader, span: HduSpan, header: bytes, sink: Sink) -> bool:
    """Compress an image; returns whether its HDU comes back byte for byte, and not only its cards and data unit.

    That follows from what is read here and nowhere else: the header is turned back at once, the coding of rows is
    lossless whatever the pixels are, and what the table does not hold must be zeros.
    """
    from transfer.codecs.rice_table import STRIPE, Packing

    cards = rice_headers.split(header)
    axes = [card_int(cards, b"NAXIS%d" % (axis + 1)) for axis in range(len(span.shape))]
    if (card_int(cards, b"BITPIX"), axes) != (span.bitpix, list(reversed(span.shape))):
        raise Incomplete(f"HDU {span.index} changed while it was read")
    rice_headers.check_image(cards)
    packing = Packing(span)
    row = span.shape[-1] * span.bitpix // 8
    stripe = np.empty(min(span.data_size, max(1, STRIPE // row) * row), np.uint8)
    for done in range(0, span.data_size, stripe.size):
        part = stripe[: span.data_size - done]
        file.fill(part)
        packing.add(part)
    if file.take(span.end_offset - span.data_offset - span.data_size).strip(b"\0"):
        raise Unsupported(f"HDU {span.index} has something else than zeros behind its pixels, which would be lost")
    parts = packing.data()
    total = Datasum()
    for each in parts:
        total.update(each)
    table, exact = rice_headers.compressed(packing.cards(), header, total.value)
    if span.index == 0:
        sink.write(rice_headers.empty_primary())
    sink.write(table)
    for each in parts:
        sink.write(each)
    sink.write(bytes(-sum(map(len, parts)) % BLOCK))
    return exact


def _restore(file: _Reader, layout: FitsLayout, sink: Sink) -> None:
    from transfer.codecs.rice_table import announced, restored, room

    left_out = b""
    for span in layout.hdus:
        header = file.take(span.data_offset - span.header_offset)
        if span.index == 0 and not span.shape:
            left_out = header  # until it is known whether the next HDU takes its place
            continue
        cards = rice_headers.split(header)
        if span.index != 1 or not (span.compressed and rice_headers.was_primary(cards)):
            sink.write(left_out)
        left_out = b""
        if not span.compressed:
            sink.write(header)
            file.copy(span.end_offset - span.data_offset, sink)
            continue
        image = announced(cards, span)
        sink.write(rice_headers.original(cards))
        data = room(span)
        file.fill(data[: span.data_size])
        for pixels in restored(image, data):
            sink.write(pixels)
        sink.write(bytes(-image.length % BLOCK))
        file.take(span.end_offset - span.data_offset - span.data_size)
    sink.write(left_out)
    file.copy(layout.trailing, sink)
