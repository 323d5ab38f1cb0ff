"""Replace the solution in the headers of a FITS file; every other card and every byte of data stays."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from processors.astrometry.header_wcs import WCS_CARD
from processors.card_text import Card, format_card
from processors.cards import CARD, Header, split_card
from processors.checksum import encode, sum32
from processors.errors import BadFrame
from processors.header import BLOCK, read_headers
from processors.publish import publish

# IRAF's description of the same solution; the checksum that a packed image had with its old header
_ALSO: Final = re.compile(r"WAT\d_\d{3}|WCSDIM|ZHECKSUM")
_CHUNK: Final = 1 << 22  # a multiple of 4, so that sums of parts are sums of whole words


def write_solutions(
    source: Path, target: Path, solutions: Mapping[int, Sequence[Card]], ignore_datasum: bool = False
) -> None:
    """Write a copy of a FITS file with other solutions in the headers of some HDUs, whole or not at all.

    Old cards of the primary solution go, and those that the new ones replace; alternate solutions (CTYPE1A, …) stay.
    CHECKSUM follows where there is one. A gzip file is written unpacked. `target` may be `source`.

    Parameters
    ----------
    solutions : mapping of int to cards
        New cards by number of the HDU, from 0.
    ignore_datasum : bool
        Let data pass that do not have the DATASUM of their header; both cards are then left wrong, as they were.

    Raises
    ------
    BadFrame
        The file is no FITS, or data do not have the DATASUM that their header gives.
    OSError
        Disk full, no permission, …
    """
    headers = read_headers(source)
    with _plain(source) as file, publish(target) as out:
        start = 0
        for header in headers:
            length = header.data_size + -header.data_size % BLOCK
            file.seek(start)
            raw = file.read(header.data_offset - start)
            _copy_hdu(file, out, raw, header, length, solutions.get(header.index), ignore_datasum)
            start = header.data_offset + length
        if target == source:
            os.fchmod(out.fileno(), source.stat().st_mode & 0o777)


@contextmanager
def _plain(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.open(file) as plain:
            yield cast(BinaryIO, plain)


def _copy_hdu(
    file: BinaryIO,
    out: BinaryIO,
    raw: bytes,
    header: Header,
    length: int,
    cards: Sequence[Card] | None,
    ignore_datasum: bool,
) -> None:
    if cards is None:
        out.write(raw)
        _copy_data(file, out, length)
        return
    text = replaced(raw.decode("latin-1"), cards)
    if "CHECKSUM" not in header:
        out.write(text.encode("latin-1"))
        _copy_data(file, out, length)
        return
    place = out.tell()
    out.write(text.encode("latin-1"))
    total = _copy_data(file, out, length)
    told = header.get("DATASUM")
    if told is None or str(told).strip() == str(total):
        checksum = encode(sum32(text.encode("latin-1"), total))
    elif ignore_datasum:
        checksum = f"{header['CHECKSUM']!s:<16}"[:16]
    else:
        raise BadFrame(f"HDU {header.index}: DATASUM is {told}, the data give {total}")
    at = next(start for start in range(0, len(text), CARD) if text.startswith("CHECKSUM=", start))
    text = text[: at + 11] + checksum + text[at + 27 :]
    out.seek(place)
    out.write(text.encode("latin-1"))
    out.seek(0, os.SEEK_END)


def _copy_data(file: BinaryIO, out: BinaryIO, length: int) -> int:
    """Copy data with their fill; returns their sum. Fill that is missing at the end of a file is made up."""
    total = 0
    while length:
        chunk = file.read(min(length, _CHUNK))
        if len(chunk) < min(length, _CHUNK):
            chunk += bytes(min(length, _CHUNK) - len(chunk))
        total = sum32(chunk, total)
        out.write(chunk)
        length -= len(chunk)
    return total


def replaced(text: str, cards: Sequence[Card]) -> str:
    """A header's text (up to END and its fill) with a new solution where the old one stood, or before END.

    A CHECKSUM card is left with sixteen zeros, as its sum is taken.
    """
    new = {keyword for keyword, _, _ in cards if keyword not in {"COMMENT", "HISTORY"}}
    kept: list[str] = []
    place: int | None = None
    dropping = False
    for start in range(0, len(text), CARD):
        card = text[start : start + CARD]
        if card.rstrip() == "END":
            break
        split = split_card(card)
        keyword = "" if split is None else split[0]
        if split is None and dropping and card.startswith("CONTINUE"):
            continue
        dropping = keyword in new or _is_solution(keyword)
        if dropping:
            place = len(kept) if place is None else place
        elif keyword == "CHECKSUM":
            kept.append(format_card("CHECKSUM", "0" * 16))  # no comment: astropy sums its own layout of one
        else:
            kept.append(card)
    while place is None and kept and not kept[-1].strip():
        kept.pop()  # room that somebody left before END
    place = len(kept) if place is None else place
    body = "".join([*kept[:place], *(format_card(*card) for card in cards), *kept[place:], f"{'END':<{CARD}}"])
    return body + " " * (-len(body) % BLOCK)


def _is_solution(keyword: str) -> bool:
    return WCS_CARD.fullmatch(keyword) is not None or _ALSO.fullmatch(keyword) is not None
