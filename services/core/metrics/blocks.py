"""Blocks of line protocol, as they lie in the spool and go over the line.

A block is the text of some points, each line with its newline, in UTF-8; a large one is a gzip member. A packed block
is posted as it lies, so that each point is packed once, by the process that made it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

BLOCK_POINTS: Final = 10_000
# Below this, a gzip member is hardly smaller than the text.
_WORTH_PACKING: Final = 2048
# Measured on 200,000 points of 60 series (64 bytes each): level 1 packs 2.8 million points/s to 27 %, level 6 packs
# 0.7 million to 22 %; the server's speed is the same with both.
_LEVEL: Final = 1
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True)
class Block:
    """Some points. `body` is text or a gzip member."""

    points: int
    body: bytes


def block_of(lines: Sequence[str]) -> Block:
    """A block of lines; what is no Unicode (half a surrogate pair from a file's name) becomes a question mark."""
    return text_block(len(lines), ("\n".join(lines) + "\n").encode("utf-8", "replace"))


def text_block(points: int, text: bytes) -> Block:
    """A block of so many points from their text, packed when it is worth it."""
    return Block(points, packed(text) if len(text) >= _WORTH_PACKING else text)


def blocks_of(lines: Iterable[str], most: int = BLOCK_POINTS) -> Iterator[Block]:
    """Blocks of at most so many lines each, in order."""
    rest = iter(lines)
    while some := list(islice(rest, most)):
        yield block_of(some)


def packed(text: bytes) -> bytes:
    """Text as one gzip member."""
    if text.startswith(_GZIP):
        return text
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, wbits=31)
    return packer.compress(text) + packer.flush()


def text_of(body: bytes) -> bytes:
    """The text of a block's body."""
    return zlib.decompress(body, wbits=31) if body.startswith(_GZIP) else body


def lines_of(body: bytes) -> list[str]:
    """The lines of a block's body, without their newlines."""
    return [line for line in text_of(body).decode("utf-8", "replace").split("\n") if line]


def join(bodies: Sequence[bytes]) -> bytes:
    """One gzip member of all bodies, in order; a single one that is packed already is taken as it is.

    Members are not put one behind the other: the format allows it, but not every server reads more than the first.
    """
    if len(bodies) == 1:
        return packed(bodies[0])
    return packed(b"".join(map(text_of, bodies)))
