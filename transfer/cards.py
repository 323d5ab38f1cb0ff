"""Values of FITS header cards, as far as the structure of a file needs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,20}\Z")


def value_of(card: bytes) -> bytes:
    """The value field of a card without its comment, stripped; a string keeps its quotes; empty when there is none."""
    if card[8:9] != b"=":
        return b""
    field = card[9:].strip(b" ")
    if not field.startswith(b"'"):
        return field.split(b"/", 1)[0].strip(b" ")
    end = 1
    while (end := field.find(b"'", end)) >= 0:
        if field[end + 1 : end + 2] != b"'":
            return field[: end + 1]
        end += 2
    return field


def find(cards: Sequence[bytes], key: bytes) -> bytes | None:
    """Value field of the first card with that keyword, or None."""
    start = key.ljust(8)
    for card in cards:
        if card.startswith(start) and card[8:9] == b"=":
            return value_of(card)
    return None


def card_int(cards: Sequence[bytes], key: bytes) -> int | None:
    """An integer value, or None when the card is missing or holds something else."""
    value = find(cards, key)
    return int(value) if value is not None and _INTEGER.match(value) else None


def card_logical(cards: Sequence[bytes], key: bytes) -> bool:
    """Whether a logical card is there and true."""
    return find(cards, key) == b"T"


def card_text(cards: Sequence[bytes], key: bytes) -> str:
    """A string value without quotes and trailing blanks, or the bare value; empty when the card is missing."""
    value = find(cards, key) or b""
    if value.startswith(b"'"):
        value = value[1:].removesuffix(b"'").replace(b"''", b"'")
    return value.decode("ascii", "replace").rstrip()
