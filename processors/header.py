"""Headers of a FITS file, read strictly and fast without touching its pixels."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final, cast

from processors.cards import Header, Value
from processors.errors import BadFrame

__all__ = ["Header", "Value", "read_headers"]

BLOCK: Final = 2880
_FIRST_READ: Final = 12 * BLOCK
_LONGEST_HEADER: Final = 10_000 * BLOCK
_MOST_HDUS: Final = 10_000
_LONGEST_UNZIPPED: Final = 16 << 30  # bytes of a frame within gzip: a stream of 16 MB may unfold to that already
_LONGEST_FILE: Final = 1 << 62
_END: Final = re.compile(rb"END {77}")
_FOREIGN: Final[tuple[tuple[bytes, str], ...]] = (
    (b"version https://git-lfs", "not a FITS file (Git LFS pointer: the content was never fetched)"),
    (b"\x1f\x9d", "Unix compress (.Z) file: uncompress it first"),
    (b"BZh", "bzip2 file: uncompress it first"),
    (b"\xfd7zXZ", "xz file: uncompress it first"),
    (b"\x28\xb5\x2f\xfd", "zstd file: uncompress it first"),
    (b"PK\x03\x04", "zip archive, not a FITS file"),
    (b"\x89HDF", "HDF5 file, not a FITS file"),
    (b"<", "not a FITS file (HTML or XML)"),
)


def read_headers(path: Path | str) -> tuple[Header, ...]:
    """Read the headers of all HDUs; data units are skipped by their declared size.

    A gzip file is read through its compression. Only missing fill after the last data unit is forgiven.

    Raises
    ------
    BadFrame
        The file is not FITS, is cut short, or declares a structure that cannot be; the message says which.
    OSError
        The file system does not let us read.
    """
    path = Path(path)
    if not S_ISREG(path.stat().st_mode):
        raise BadFrame("not a regular file")  # a pipe would be waited for, for ever
    with path.open("rb") as file:
        magic = file.read(24)
        file.seek(0)
        if magic[:2] != b"\x1f\x8b":
            return _read_all(file, path.stat().st_size, magic)
        try:
            with gzip.open(file) as plain:
                return _read_all(cast(BinaryIO, plain), None, plain.read(24))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadFrame(f"broken gzip stream: {error}") from error


def _read_all(file: BinaryIO, size: int | None, magic: bytes) -> tuple[Header, ...]:
    _refuse_foreign(magic)
    headers: list[Header] = []
    offset, length = 0, _FIRST_READ
    while len(headers) < _MOST_HDUS:
        file.seek(offset)
        text = _header_text(file, len(headers), length)  # extensions of a mosaic have headers of one length
        if text is None:
            break
        raw, length = text
        header = _parse(raw, len(headers), offset + length)
        offset = header.data_offset + header.data_size
        _refuse_truncated(file, size, header, offset)
        headers.append(header)
        offset += -offset % BLOCK
    else:
        raise BadFrame(f"more than {_MOST_HDUS} HDUs")
    return tuple(headers)


def _refuse_foreign(magic: bytes) -> None:
    if not magic:
        raise BadFrame("empty file")
    for start, reason in _FOREIGN:
        if magic.startswith(start):
            raise BadFrame(reason)
    if not magic.startswith(b"SIMPLE  ="):
        raise BadFrame(f"not a FITS file (starts with {magic[:9]!r}, not with SIMPLE)")


def _header_text(file: BinaryIO, index: int, likely: int) -> tuple[bytes, int] | None:
    """Bytes of a header up to END and its length in whole blocks (`likely` is tried), or None at the file's end."""
    raw = b""
    while True:
        more = file.read(likely if not raw else 8 * len(raw))
        if index and not raw and not more.startswith(b"XTENSION"):
            if not more.strip(b"\0 "):
                return None  # nothing, or fill, after the last HDU
            raise BadFrame(f"junk after HDU {index - 1}: {more[:8]!r} where XTENSION or the end should be")
        searched = len(raw) - len(raw) % 80
        raw += more
        end = next((m.start() for m in _END.finditer(raw, searched) if m.start() % 80 == 0), -1)
        if end >= 0:
            if b"\0" in raw[:end]:
                raise BadFrame(f"binary data in the header of HDU {index}")
            return raw[:end], end + 80 + -(end + 80) % BLOCK
        if not more or len(raw) > _LONGEST_HEADER or b"\0" in more:
            raise BadFrame(f"header of HDU {index} has no END card")


def _parse(raw: bytes, index: int, data_offset: int) -> Header:
    first = b"XTENSION=" if index else b"SIMPLE  ="
    if not raw.startswith(first):
        raise BadFrame(f"HDU {index}: no {first[:8].decode().strip()} card")
    header = Header(raw.decode("latin-1"), index, data_offset)
    header.data_size = _data_size(header)
    return header


def _data_size(header: Header) -> int:
    """Length of the data unit in bytes without fill (FITS Standard 4.0, equations 1, 2 and 5)."""
    bitpix = _count(header, "BITPIX", lowest=-64)
    if bitpix not in {8, 16, 32, 64, -32, -64}:
        raise BadFrame(f"HDU {header.index}: BITPIX is {bitpix}")
    naxis = _count(header, "NAXIS", highest=999)
    axes = [_count(header, f"NAXIS{axis}") for axis in range(1, naxis + 1)]
    if header.index == 0 and header.get("GROUPS") is True and axes and axes[0] == 0:
        axes = axes[1:]  # random groups
    elif header.index == 0:
        return _product(axes) * abs(bitpix) // 8
    pcount = _count(header, "PCOUNT", default=0)
    gcount = _count(header, "GCOUNT", default=1)
    return gcount * (pcount + _product(axes)) * abs(bitpix) // 8


def _product(axes: list[int]) -> int:
    total = 1 if axes else 0
    for axis in axes:
        total *= axis
    return total


def _count(
    header: Header, keyword: str, default: int | None = None, lowest: int = 0, highest: int | None = None
) -> int:
    value = header.get(keyword, default)
    if type(value) is not int or value < lowest or (highest is not None and value > highest):
        raise BadFrame(f"HDU {header.index}: {keyword} is {value!r}, not a count")
    return value


def _refuse_truncated(file: BinaryIO, size: int | None, header: Header, end: int) -> None:
    longest = _LONGEST_FILE if size is not None else _LONGEST_UNZIPPED
    if end > longest:
        raise BadFrame(f"truncated: HDU {header.index} claims to be larger than {longest} bytes")
    if size is None:  # a compressed stream knows its length only by reading on
        size = min(file.seek(end), end)
    if end > size:
        where = f"HDU {header.index} needs {end} bytes, the file has {size}"
        raise BadFrame(f"truncated: {where}")
