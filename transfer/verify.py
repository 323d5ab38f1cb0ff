"""DATASUM cards against the data they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transfer.checksum import CHUNK, Datasum
from transfer.errors import Corrupt
from transfer.structure import FitsLayout


@dataclass(frozen=True, slots=True)
class DatasumVerdict:
    """A DATASUM card against the data it stands for."""

    index: int
    card: int
    computed: int

    @property
    def ok(self) -> bool:
        """Whether they agree (0 and 2**32 - 1 are the same number in ones' complement)."""
        return self.card % 0xFFFFFFFF == self.computed % 0xFFFFFFFF


def verify_datasums(path: Path, layout: FitsLayout) -> None:
    """Raise Corrupt when a DATASUM card disagrees with the data it stands for; HDUs without the card pass."""
    bad = [verdict for verdict in compare_datasums(path, layout) if not verdict.ok]
    if bad:
        listed = ", ".join(f"HDU {verdict.index}: card {verdict.card}, data {verdict.computed}" for verdict in bad[:3])
        raise Corrupt(f"DATASUM disagrees in {len(bad)} of {len(layout.hdus)} HDUs ({listed})")


def compare_datasums(path: Path, layout: FitsLayout) -> tuple[DatasumVerdict, ...]:
    """Compare every DATASUM card that is there with the data it stands for."""
    verdicts = []
    with path.open("rb") as file:
        for span in layout.hdus:
            if span.datasum_card is None:
                continue
            total = Datasum()
            file.seek(span.data_offset)
            left = span.end_offset - span.data_offset
            while left and (chunk := file.read(min(CHUNK, left))):
                total.update(chunk)
                left -= len(chunk)
            verdicts.append(DatasumVerdict(span.index, span.datasum_card, total.value))
    return tuple(verdicts)
