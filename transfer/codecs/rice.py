"""Tile compression as fpack does it, by cfitsio: what comes out is a valid `.fits.fz`."""

from __future__ import annotations

import contextlib
import math
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

import numpy as np

from transfer.cards import card_int, card_logical
from transfer.checksum import CHUNK, measure
from transfer.codecs import rice_headers
from transfer.codecs.base import BYTES, PIXELS, Encoded, Fidelity, Parameter, Sink
from transfer.durable import PREFIX
from transfer.errors import Corrupt, Incomplete, NotFits, TransferError, Unsupported
from transfer.structure import BLOCK, FitsLayout, HduSpan, scan

DTYPES: Final = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class Rice:
    """Rice tile compression, lossless for integers of 8, 16 and 32 bits.

    `quantize`, when set, also takes floating-point images: quantized in steps of sigma / quantize with subtractive
    dithering (Pence, White & Seaman 2010), which adds a noise of 1 / (quantize * sqrt(12)) sigma.
    """

    quantize: float | None = None

    name: ClassVar[str] = "rice"
    suffix: ClassVar[str] = ".fz"

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """See `Codec.parameters`."""
        return {} if self.quantize is None else {"quantize": self.quantize}

    def encode(self, source: Path, sink: Sink, *, scratch: Path) -> Encoded:
        """See `Codec.encode`."""
        layout = self._accept(source)
        with _scratch_files(scratch, 3) as (packed, restored, one):
            with source.open("rb") as file, packed.open("wb") as target:
                self._compress(file, layout, target, one)
            meter = measure(source, layout)
            with packed.open("rb") as again, restored.open("wb") as back:
                try:
                    self.decode(again, back, size=meter.size, scratch=scratch)
                except TransferError as error:
                    raise Unsupported(f"{source.name} does not come back from its compressed form: {error}") from error
            fidelity = self._judge(source, layout, restored, meter.sha256, meter.datasums)
            with packed.open("rb") as result:
                shutil.copyfileobj(result, sink, CHUNK)
        return Encoded(meter.size, meter.sha256, meter.datasums, fidelity)

    def decode(self, packed: BinaryIO, sink: Sink, *, size: int, scratch: Path) -> None:
        """See `Codec.decode`."""
        limit = 2 * size + (1 << 20)
        with _scratch_files(scratch, 2) as (copy, one):
            with copy.open("wb") as target:
                shutil.copyfileobj(packed, target, CHUNK)
            try:
                layout = scan(copy)
            except (NotFits, Incomplete) as error:
                raise Corrupt(f"the compressed file is not whole FITS: {error}") from error
            with copy.open("rb") as file:
                _restore(file, layout, sink, limit, one)

    def _accept(self, source: Path) -> FitsLayout:
        try:
            layout = scan(source)
        except (NotFits, Incomplete) as error:
            raise Unsupported(f"{source.name} is not whole FITS: {error}") from error
        for span in layout.hdus:
            if span.compressed:
                raise Unsupported(f"HDU {span.index} of {source.name} is tile-compressed already")
            if span.is_image and span.bitpix == 64:
                raise Unsupported(f"HDU {span.index} of {source.name}: Rice cannot carry 64-bit integers")
            if span.is_image and span.bitpix < 0 and self.quantize is None:
                raise Unsupported(
                    f"HDU {span.index} of {source.name} is floating-point, which Rice would have to round"
                )
        return layout

    def _compress(self, file: BinaryIO, layout: FitsLayout, target: BinaryIO, one: Path) -> None:
        for span in layout.hdus:
            if not span.is_image:
                _copy(file, span.header_offset, span.end_offset, target)
                continue
            if span.index == 0:
                target.write(rice_headers.empty_primary(mark=True))
            table, data = self._table(_pixels(file, span), one)
            target.write(rice_headers.compressed(table, _cards(file, span)))
            target.write(data)
        end = layout.hdus[-1].end_offset
        _copy(file, end, end + layout.trailing, target)

    def _table(self, pixels: np.ndarray, path: Path) -> tuple[list[bytes], bytes]:
        """Header cards and data unit of the compressed form of an image."""
        import fitsio

        options: dict[str, Any] = {"compress": "RICE_1", "tile_dims": [1] * (pixels.ndim - 1) + [pixels.shape[-1]]}
        if pixels.dtype.kind == "f":
            options |= {"qlevel": self.quantize, "qmethod": "SUBTRACTIVE_DITHER_1", "dither_seed": 1}
        try:
            with fitsio.FITS(str(path), "rw", clobber=True) as fits:
                fits.write(pixels, **options)
        except (OSError, ValueError) as error:
            raise Unsupported(f"cfitsio cannot compress this image: {' '.join(str(error).split())}") from error
        with path.open("rb") as file:
            span = scan(path).hdus[-1]
            file.seek(span.data_offset)
            return _cards(file, span), _read(file, span.data_offset, span.end_offset)

    def _judge(
        self, source: Path, layout: FitsLayout, restored: Path, sha256: str, datasums: tuple[int, ...]
    ) -> Fidelity:
        """What the compressed form is worth, from what came back of it."""
        if self.quantize is not None and any(span.is_image and span.bitpix < 0 for span in layout.hdus):
            return Fidelity(lossless=False, restores="approximation", noise_added=round(12**-0.5 / self.quantize, 6))
        back = measure(restored, scan(restored))
        if back.sha256 == sha256:
            return BYTES
        if back.datasums == datasums:
            return PIXELS
        raise Unsupported(f"{source.name} does not come back from its compressed form")


@contextlib.contextmanager
def _scratch_files(directory: Path, count: int) -> Iterator[tuple[Path, ...]]:
    """Names for temporary files that a rescan or a sweep knows as such; the files are gone afterwards."""
    stem = f"{PREFIX}rice-{secrets.token_hex(8)}"
    paths = tuple(directory / f"{stem}-{number}" for number in range(count))
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _restore(file: BinaryIO, layout: FitsLayout, sink: Sink, limit: int, work: Path) -> None:
    primary_moved = card_logical(_cards(file, layout.hdus[0]), rice_headers.PRIMARY_MARK)
    left = limit
    for span in layout.hdus:
        if span.index == 0 and primary_moved:
            continue
        if not span.compressed:
            left -= span.end_offset - span.header_offset
            _check_left(left)
            _copy(file, span.header_offset, span.end_offset, sink)
            continue
        cards = _cards(file, span)
        header = rice_headers.original(cards)
        dtype, shape = _announced(cards)
        length = math.prod(shape) * dtype.itemsize
        left -= len(header) + length
        _check_left(left)
        work.write_bytes(
            rice_headers.empty_primary(mark=False)
            + rice_headers.bare(cards)
            + _read(file, span.data_offset, span.end_offset)
        )
        sink.write(header)
        sink.write(_decompress(work, dtype, shape).view(np.uint8).data)
        sink.write(bytes(-length % BLOCK))
    end = layout.hdus[-1].end_offset
    _copy(file, end, end + layout.trailing, sink)


def _check_left(left: int) -> None:
    if left < 0:
        raise Corrupt("the compressed file would restore to more than the manifest allows")


def _announced(cards: list[bytes]) -> tuple[np.dtype, tuple[int, ...]]:
    bitpix, naxis = card_int(cards, b"ZBITPIX"), card_int(cards, b"ZNAXIS")
    axes = [card_int(cards, b"ZNAXIS%d" % (axis + 1)) for axis in range(naxis or 0)] if (naxis or 0) <= 999 else []
    sizes = tuple(axis for axis in reversed(axes) if axis is not None and axis > 0)
    if bitpix not in DTYPES or not axes or len(sizes) != len(axes):
        raise Corrupt("a compressed image does not say what it restores to")
    return np.dtype(DTYPES[bitpix]), sizes


def _decompress(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    import fitsio

    try:
        with fitsio.FITS(str(path)) as fits:
            pixels = fits[1].read()
    except (OSError, ValueError) as error:
        raise Corrupt(f"cfitsio cannot decompress an image: {' '.join(str(error).split())}") from error
    if pixels is None or pixels.shape != shape or pixels.dtype.newbyteorder(">") != dtype:
        raise Corrupt("a compressed image restores to something else than it says")
    return np.ascontiguousarray(pixels.astype(dtype)).reshape(-1)


def _pixels(file: BinaryIO, span: HduSpan) -> np.ndarray:
    data = np.frombuffer(_read(file, span.data_offset, span.data_offset + span.data_size), DTYPES[span.bitpix])
    return data.reshape(span.shape).astype(data.dtype.newbyteorder("="))


def _cards(file: BinaryIO, span: HduSpan) -> list[bytes]:
    return rice_headers.split(_read(file, span.header_offset, span.data_offset))


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    data = file.read(end - start)
    if len(data) != end - start:
        raise Incomplete("the file became shorter while it was read")
    return data


def _copy(file: BinaryIO, start: int, end: int, sink: Sink) -> None:
    for low in range(start, end, CHUNK):
        sink.write(_read(file, low, min(low + CHUNK, end)))
