"""DATASUM cards against the data they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from transfer.errors import Corrupt
from transfer.structure import FitsLayout

_MINUS_ZERO: Final = 0xFFFFFFFF  # in ones' complement the same number as 0


def verify_datasums(layout: FitsLayout, sums: Sequence[int]) -> None:
    """Raise Corrupt when a DATASUM card disagrees with the sum over its data; HDUs without the card pass.

    Parameters
    ----------
    sums
        Of every HDU, as `checksum.Meter` has them; empty when the file could not be summed.
    """
    pairs = zip(layout.hdus, sums, strict=bool(sums))
    bad = [
        f"HDU {span.index}: card {span.datasum_card}, data {value}"
        for span, value in pairs
        if span.datasum_card is not None and span.datasum_card % _MINUS_ZERO != value % _MINUS_ZERO
    ]
    if bad:
        raise Corrupt(f"DATASUM disagrees in {len(bad)} of {len(layout.hdus)} HDUs ({', '.join(bad[:3])})")
