"""FITS pixels, read and written; the only module that opens pixel data."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from processors.card_text import Card
from processors.cards import Header
from processors.checksum import sum32
from processors.errors import BadFrame
from processors.geometry import DetectorSetup
from processors.header import BLOCK
from processors.identity import FrameIdentity
from processors.instrument import Instrument
from processors.publish import Writer, header_block, publish_large
from processors.raw_image import Pixels, raw_image

__all__ = ["Frame", "Pixels", "ProductHDU", "read_frame", "read_image", "sha256_of", "to_native", "write_product"]

_TYPES: Final = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_AT_ONCE: Final = 1 << 17  # pixels; a multiple of four, so that sums of parts are sums of whole words
_BITPIX: Final = {"u1": 8, "i2": 16, "i4": 32, "f4": -32, "f8": -64, "u2": 16}


@dataclass(frozen=True, slots=True)
class Frame:
    """A raw frame with everything known about it; pixels are read detector by detector when asked for."""

    path: Path
    instrument: Instrument
    headers: tuple[Header, ...] = field(repr=False)
    identity: FrameIdentity
    setups: tuple[DetectorSetup, ...] = field(repr=False)

    def image(self, setup: DetectorSetup) -> Pixels:
        """Raw image of a detector, ADU: (rows, columns), uint16 or float32, native, C-contiguous (BadFrame)."""
        return raw_image(lambda hdu: read_image(self.path, self.headers[hdu]), setup)


def read_frame(path: Path | str, instrument: Instrument, headers: Sequence[Header], identity: FrameIdentity) -> Frame:
    """Open a frame: its amplifiers' geometry is resolved and checked now, its pixels are read later.

    Raises
    ------
    BadFrame
        A section, gain, read noise or saturation card is missing or impossible.
    """
    path = Path(path)
    return Frame(path, instrument, tuple(headers), identity, instrument.setups(headers, path.name))


def sha256_of(path: Path | str) -> str:
    """sha256 of a file's bytes, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_native(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in native byte order and C-contiguous, as the kernels want them; copied only where needed."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def read_image(path: Path | str, header: Header) -> Pixels:
    """Image of one HDU, scaled by BSCALE and BZERO: uint16 for 16-bit unsigned pixels, else float32; BLANK is NaN.

    Raises
    ------
    BadFrame
        The HDU holds no two-dimensional image, or its pixels cannot be read.
    """
    try:
        image = _read_tiles(path, header) if header.get("ZIMAGE") is True else _read_plain(path, header)
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, OverflowError, MemoryError) as error:
        raise BadFrame(f"HDU {header.index}: pixels cannot be read: {' '.join(str(error).split())}") from error
    if image.ndim != 2 or 0 in image.shape:
        raise BadFrame(f"HDU {header.index}: no two-dimensional image but {image.ndim} axes")
    return image


def _read_plain(path: Path | str, header: Header) -> Pixels:
    bitpix, naxis = header.get("BITPIX"), header.get("NAXIS")
    axes = [header.get(f"NAXIS{axis}") for axis in range(1, naxis + 1)] if isinstance(naxis, int) else []
    shape = tuple(axis for axis in reversed(axes) if isinstance(axis, int))
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 or not isinstance(bitpix, int) or header.get("XTENSION", "IMAGE") != "IMAGE":
        raise BadFrame(f"HDU {header.index}: no two-dimensional image but {len(shape)} axes")
    with Path(path).open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.open(file) as plain:
                raw = _bytes(cast(BinaryIO, plain), header)
        else:
            raw = _bytes(file, header)
    return _scaled(raw.view(_TYPES[bitpix]).reshape(shape), header)


def _bytes(file: BinaryIO, header: Header) -> NDArray[np.uint8]:
    file.seek(header.data_offset)
    raw = np.empty(header.data_size, np.uint8)
    view, got = memoryview(raw.data), 0
    while got < raw.size and (some := cast(io.BufferedReader, file).readinto(view[got:])):
        got += some
    if got != raw.size:
        raise BadFrame(f"HDU {header.index}: truncated, {got} of {header.data_size} bytes of pixels")
    return raw


def _scaled(array: NDArray[Any], header: Header) -> Pixels:
    """Big-endian pixels of the file as native numbers; the array is used up, as fresh memory costs time."""
    scale, zero, blank = header.get("BSCALE", 1), header.get("BZERO", 0), header.get("BLANK")
    if isinstance(scale, str | bool) or isinstance(zero, str | bool) or scale is None or zero is None or scale == 0:
        raise BadFrame(f"HDU {header.index}: BSCALE is {scale!r}, BZERO is {zero!r}")
    if array.dtype == np.dtype(">i2") and scale == 1 and zero == 32768 and not isinstance(blank, int):
        image = array.byteswap(inplace=True).view(np.uint16)
        image ^= np.uint16(0x8000)
        return image
    if array.dtype == np.dtype(">f4") and scale == 1 and zero == 0:
        return array.byteswap(inplace=True).view(np.float32)
    if array.dtype.kind == "f" and scale == 1 and zero == 0:
        return array.astype(np.float32, order="C")
    values = array.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = (values * float(scale) + float(zero)).astype(np.float32)
    if array.dtype.kind in "iu" and isinstance(blank, int):
        pixels[values == blank] = np.nan
    return pixels


def _read_tiles(path: Path | str, header: Header) -> Pixels:
    import fitsio

    with Path(path).open("rb") as file:
        # through its descriptor, as cfitsio takes brackets, colons and the like in a name for instructions
        try:
            with fitsio.FITS(f"/proc/self/fd/{file.fileno()}") as hdus:
                image = hdus[header.index].read()
        except OSError as error:
            raise BadFrame(f"HDU {header.index}: {' '.join(str(error).split())[:200]}") from error
    if image is None:
        raise BadFrame(f"HDU {header.index}: no pixels")
    while image.ndim > 2 and image.shape[0] == 1:
        image = image[0]
    return to_native(image) if image.dtype == np.uint16 else to_native(image.astype(np.float32))


@dataclass(frozen=True, slots=True)
class ProductHDU:
    """An image extension of a product: EXTNAME, pixels (rows, columns), cards."""

    name: str
    data: NDArray[Any]
    cards: tuple[Card, ...] = ()


def write_product(path: Path | str, cards: Sequence[Card], hdus: Iterable[ProductHDU]) -> None:
    """Write a product whole or not at all: temporary name, fsync, rename, fsync of the directory.

    The same input gives the same bytes. Every HDU carries DATASUM and CHECKSUM. `hdus` may be a generator, so that one
    detector at a time is in memory; an error that it raises leaves nothing behind.

    Raises
    ------
    OSError
        Disk full, no permission, …
    """
    with publish_large(path) as file:
        primary = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, ""), *cards]
        file.write(header_block(primary, 0))
        for hdu in hdus:
            _write_hdu(file, hdu)


def _write_hdu(file: Writer, hdu: ProductHDU) -> None:
    data = np.ascontiguousarray(hdu.data)
    rows, columns = data.shape
    cards: list[Card] = [
        ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", _BITPIX[data.dtype.str[1:]], ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", columns, ""),
        ("NAXIS2", rows, ""),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("EXTNAME", hdu.name, ""),
    ]
    if data.dtype == np.uint16:
        cards += [("BSCALE", 1, ""), ("BZERO", 32768, "unsigned 16-bit integers")]
    parts = [data.reshape(-1)[first : first + _AT_ONCE] for first in range(0, data.size, _AT_ONCE)]
    file.write(header_block([*cards, *hdu.cards], _datasum(parts)))
    # block by block: what is turned over stays in the processor's cache
    for part in parts:
        file.write(_signed(part).astype(part.dtype.newbyteorder(">")).tobytes())
    file.write(bytes(-data.nbytes % BLOCK))


def _signed(pixels: NDArray[Any]) -> NDArray[Any]:
    """Unsigned 16-bit pixels as the bits that FITS holds for them; all others as they are."""
    return pixels ^ np.uint16(0x8000) if pixels.dtype == np.uint16 else pixels


def _datasum(parts: Sequence[NDArray[Any]]) -> int:
    """DATASUM of native pixels, without turning them over: a sum of words does not care how these lie in memory."""
    total = 0
    for part in parts:
        if part.itemsize >= 4:
            total += int(part.view("u4").sum(dtype=np.uint64))
            continue
        each = 4 // part.itemsize
        units = _signed(part).view(f"u{part.itemsize}")
        for place in range(each):
            total += int(units[place::each].sum(dtype=np.uint64)) << 8 * part.itemsize * (each - 1 - place)
    return sum32(b"", total)
