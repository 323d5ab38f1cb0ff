"""Do the sums in the headers agree with the bytes?"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from processors.checks.result import CheckResult, Verdict
from processors.checks.view import of_file
from processors.checksum import sum32
from processors.fits import Frame
from processors.header import BLOCK, Header
from processors.identity import text_of

_AT_ONCE: Final = 1 << 22
_ALL_ONES: Final = 0xFFFFFFFF


def check_checksum(frame: Frame) -> Iterator[CheckResult]:
    """Number of HDUs whose DATASUM or CHECKSUM is wrong (FITS Standard 4.0, section 4.4.2.7); a file may have none."""
    cards = sum("DATASUM" in header or "CHECKSUM" in header for header in frame.headers)
    if cards == 0:
        yield of_file(frame, "checksum", 0, "wrong", "ok", "", "no sums in the header")
        return
    wrong = list(_wrong_sums(frame))
    shown = ", ".join(wrong[:8]) + (", …" if len(wrong) > 8 else "")
    verdict: Verdict = "error" if wrong else "ok"
    message = f"wrong: {shown}" if wrong else f"{cards} HDUs agree with their sums"
    yield of_file(frame, "checksum", len(wrong), "wrong", verdict, "CHECKSUM", message)


def _wrong_sums(frame: Frame) -> Iterator[str]:
    with Path(frame.path).open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not packed:
            yield from _wrong_in(plain, frame.headers)
            return
        with gzip.open(plain) as unpacked:
            yield from _wrong_in(cast(BinaryIO, unpacked), frame.headers)


def _wrong_in(file: BinaryIO, headers: Sequence[Header]) -> Iterator[str]:
    start = 0
    for header in headers:
        end = header.data_offset + header.data_size
        end += -end % BLOCK
        name = text_of(header.get("EXTNAME")) or f"HDU {header.index}"
        if "DATASUM" in header or "CHECKSUM" in header:
            file.seek(start)
            before = _sum(file, header.data_offset - start, 0)
            data = _sum(file, end - header.data_offset, 0)
            if "DATASUM" in header and not _agrees(text_of(header["DATASUM"]), data):
                yield f"DATASUM of {name}"
            elif text_of(header.get("CHECKSUM")) and _added(before, data) != _ALL_ONES:
                yield f"CHECKSUM of {name}"
        start = end


def _sum(file: BinaryIO, length: int, total: int) -> int:
    """Sum of the next bytes; missing fill at the end of the file counts as zeros."""
    while length > 0:
        raw = file.read(min(length, _AT_ONCE))
        if not raw:
            return total
        total = sum32(raw + bytes(-len(raw) % 4), total)
        length -= len(raw)
    return total


def _added(a: int, b: int) -> int:
    total = a + b
    return (total & _ALL_ONES) + (total >> 32)


def _agrees(text: str, data: int) -> bool:
    """Whether a DATASUM card says this sum; an empty one says nothing, and both zeros of the arithmetic are one."""
    if not text:
        return True
    return text.isdecimal() and int(text) % _ALL_ONES == data % _ALL_ONES
