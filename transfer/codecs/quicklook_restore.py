"""A quick-look form into an approximate frame; nobody has to trust what comes in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from transfer.checksum import CHUNK
from transfer.codecs import rice_headers
from transfer.codecs.base import Sink
from transfer.codecs.quicklook import DTYPES, MIN_SIDE, Carrier, Table, scratch_files
from transfer.codecs.quicklook_headers import announced, codec_of
from transfer.errors import Corrupt, Incomplete, NotFits
from transfer.structure import BLOCK, FitsLayout, scan


def decode(carrier: Carrier, packed: BinaryIO, sink: Sink, size: int, scratch: Path) -> None:
    """`Codec.decode` of the lossy codecs."""
    limit = 2 * size + (1 << 20)
    with scratch_files(scratch, 2) as (copy, work):
        with copy.open("wb") as target:
            while chunk := packed.read(CHUNK):
                if target.tell() + len(chunk) > limit:
                    raise Corrupt("the quick-look file is larger than what it may restore to")
                target.write(chunk)
        try:
            layout = scan(copy)
        except (NotFits, Incomplete) as error:
            raise Corrupt(f"the quick-look file is not whole FITS: {error}") from error
        with copy.open("rb") as file:
            _restore(carrier, file, layout, sink, limit, work)


def _restore(carrier: Carrier, file: BinaryIO, layout: FitsLayout, sink: Sink, limit: int, work: Path) -> None:
    spans = layout.hdus[1:] if _primary_moved(carrier, file, layout) else layout.hdus
    left = limit - layout.trailing
    for number, span in enumerate(spans):
        text = _read(file, span.header_offset, span.data_offset - span.header_offset)
        header = rice_headers.split(text)
        owned = span.kind == "bintable" and carrier.owns(header)
        image = rice_headers.original(header) if owned else text
        if not image.startswith(b"XTENSION=" if number else b"SIMPLE  ="):
            raise Corrupt("the quick-look file would restore to something that is not FITS")
        if number == 0 and codec_of(rice_headers.split(image)) != carrier.name:
            raise Corrupt("the quick-look file does not say in its primary header that it is an approximation")
        bitpix, shape = _announced(header) if owned else (8, (span.end_offset - span.data_offset,))
        length = math.prod(shape) * bitpix // 8
        left -= len(image) + length
        if left < 0:
            raise Corrupt("the quick-look file would restore to more than the manifest allows")
        sink.write(image)
        if owned:
            table = Table(header, _read(file, span.data_offset, span.data_size))
            pixels = carrier.expand(table, bitpix, shape, work)
            sink.write(pixels.astype(DTYPES[bitpix]).reshape(-1).view(np.uint8).data)
            sink.write(bytes(-length % BLOCK))
        else:
            _copy(file, span.data_offset, span.end_offset, sink)
    _copy(file, spans[-1].end_offset, layout.size, sink)


def _primary_moved(carrier: Carrier, file: BinaryIO, layout: FitsLayout) -> bool:
    """Whether the first extension stands for the primary array."""
    if layout.hdus[0].data_size or len(layout.hdus) < 2:
        return False
    span = layout.hdus[1]
    header = rice_headers.split(_read(file, span.header_offset, span.data_offset - span.header_offset))
    return carrier.owns(header) and rice_headers.was_primary(header)


def _announced(header: list[bytes]) -> tuple[int, tuple[int, ...]]:
    said = announced(header)
    if said is None or min(said[1][-2:]) < MIN_SIDE:
        raise Corrupt("a quick-look image does not say what it restores to")
    return said


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    data = file.read(length)
    if len(data) != length:
        raise Incomplete("the file became shorter while it was read")
    return data


def _copy(file: BinaryIO, start: int, end: int, sink: Sink) -> None:
    for low in range(start, end, CHUNK):
        sink.write(_read(file, low, min(CHUNK, end - low)))
