"""A frame into its quick-look form: every image is decoded again, and what was lost is measured."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from transfer.checksum import CHUNK, Meter
from transfer.codecs import rice_headers
from transfer.codecs.base import Encoded, Fidelity, Sink
from transfer.codecs.quicklook import DTYPES, MIN_SIDE, Carrier, Table, scratch_files
from transfer.codecs.quicklook_headers import Marks, codec_of, marked, renamed, without_sums
from transfer.codecs.quicklook_noise import largest_change, noise_added
from transfer.codecs.sources import place, uncompressed
from transfer.errors import Incomplete, TransferError, Unsupported
from transfer.structure import BLOCK, FitsLayout, HduSpan


def encode(carrier: Carrier, source: Path, sink: Sink, scratch: Path) -> Encoded:
    """`Codec.encode` of the lossy codecs: every image is decoded again and its noise measured before it goes."""
    layout = _accept(source)
    meter = Meter(layout)
    with scratch_files(scratch, 2) as (packed, work), source.open("rb") as file, packed.open("wb+") as target:
        noise = _Packing(carrier, _Source(file, meter, source.name), target, work).run(layout)
        target.seek(0)
        shutil.copyfileobj(target, sink, CHUNK)
    return Encoded(meter.size, meter.sha256, meter.datasums, Fidelity(False, "approximation", noise))


class _Source:
    """A file read once from start to end, measured on the way."""

    def __init__(self, file: BinaryIO, meter: Meter, name: str) -> None:
        self._file, self._meter, self._name = file, meter, name

    def take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise Incomplete(f"{self._name} became shorter while it was read")
        self._meter.update(data)
        return data

    def copy(self, length: int, sink: Sink) -> None:
        for done in range(0, length, CHUNK):
            sink.write(self.take(min(CHUNK, length - done)))

    def finish(self) -> str:
        """SHA-256 of the file, which must end here."""
        if self._file.read(1):
            raise Incomplete(f"{self._name} grew while it was read")
        return self._meter.sha256


class _Packing:
    """One frame on its way into the packed form. The marks are known last, so their headers are written again."""

    def __init__(self, carrier: Carrier, source: _Source, target: BinaryIO, work: Path) -> None:
        self._carrier, self._source, self._target, self._work = carrier, source, target, work
        self._marks = Marks(carrier.name, carrier.mark)
        self._marked: list[tuple[int, list[bytes]]] = []
        self._noise: list[float] = []

    def run(self, layout: FitsLayout) -> float:
        """Write everything; returns the noise of the worst detector."""
        for span in layout.hdus:
            header = self._source.take(span.data_offset - span.header_offset)
            if _shrinks(span):
                self._image(span, rice_headers.split(header))
                continue
            if span.index == 0:
                self._mark(without_sums(rice_headers.split(header), data_kept=True))
            else:
                self._target.write(header)
            self._source.copy(span.end_offset - span.data_offset, self._target)
        self._source.copy(layout.trailing, self._target)
        noise = round(max(self._noise), 4)
        self._marks = replace(self._marks, noise=noise, sha256=self._source.finish())
        for offset, cards in self._marked:
            self._target.seek(offset)
            self._target.write(marked(cards, self._marks))
        return noise

    def _mark(self, cards: list[bytes]) -> None:
        self._marked.append((self._target.tell(), cards))
        self._target.write(marked(cards, self._marks))

    def _image(self, span: HduSpan, header: list[bytes]) -> None:
        data = self._source.take(span.data_size)
        self._source.take(span.end_offset - span.data_offset - span.data_size)
        pixels = np.frombuffer(data, DTYPES[span.bitpix]).reshape(span.shape)
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
        table = self._carrier.shrink(pixels, self._work)
        self._noise.append(self._measured(table, pixels, span))
        cards = renamed(without_sums(header))
        if span.index == 0:
            self._mark(rice_headers.split(rice_headers.empty_primary()))
            self._mark([*table.cards, *cards])
        else:
            self._target.write(rice_headers.join([*table.cards, *cards]))
        self._target.write(table.data + bytes(-len(table.data) % BLOCK))

    def _measured(self, table: Table, pixels: np.ndarray, span: HduSpan) -> float:
        """Noise added, from what comes back."""
        try:
            back = self._carrier.expand(table, span.bitpix, span.shape, self._work)
        except TransferError as error:
            raise Unsupported(f"HDU {span.index} does not come back from its lossy form: {error}") from error
        if largest_change(pixels, back) >= 1 << (span.bitpix - 1):
            raise Unsupported(f"HDU {span.index} would leave the range of its {span.bitpix}-bit integers")
        return noise_added(pixels, back)


def _accept(source: Path) -> FitsLayout:
    layout = uncompressed(source)
    for span in layout.hdus:
        if span.is_image and span.bitpix not in DTYPES:
            raise Unsupported(f"{place(span, source)} is not of 8, 16 or 32-bit integers: quick look carries no others")
    with source.open("rb") as file:
        if codec_of(rice_headers.split(file.read(layout.hdus[0].data_offset))):
            raise Unsupported(f"{source.name} is an approximation already")
    if not any(_shrinks(span) for span in layout.hdus):
        raise Unsupported(f"{source.name} has no image for a quick look")
    return layout


def _shrinks(span: HduSpan) -> bool:
    return span.is_image and len(span.shape) >= 2 and min(span.shape[-2:]) >= MIN_SIDE
