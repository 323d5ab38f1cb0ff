"""Whether a gzip file is whole, by its own checksum."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from transfer.errors import Corrupt, Incomplete


def check_gzip(file: BinaryIO) -> None:
    """Read every member of a gzip file to its checksum; zeros behind the last member are allowed.

    Raises
    ------
    Incomplete
        The stream has no end yet.
    Corrupt
        It is damaged, or something else follows it.
    """
    unzip = zlib.decompressobj(31)
    try:
        while chunk := file.read(1 << 20):
            while chunk:
                if unzip.eof and not (chunk := chunk.lstrip(b"\0")):
                    break
                if unzip.eof:
                    unzip = zlib.decompressobj(31)
                unzip.decompress(chunk, 1 << 24)  # in steps: a few bytes may hold gigabytes
                chunk = unzip.unconsumed_tail or unzip.unused_data
    except zlib.error as error:
        raise Corrupt(f"the gzip stream is damaged: {error}") from error
    if not unzip.eof:
        raise Incomplete("the gzip stream has no end yet")
