"""What the housekeeper says of itself: counts of each source as metrics, and each kind of trouble once in the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from services.core.log import get_logger
from services.core.metrics.line import Field, line
from services.housekeeping.samples import Samples
from services.housekeeping.sources.base import Batch

_EVERY_S: Final = 10.0
_MOST_TOLD: Final = 1000
_NUMBERS: Final = re.compile(r"-?\d+(\.\d+)?")
_WORDS: Final = {
    "clock_back": "the clock of a source was set back; its rows keep their times",
    "clock_ahead": "rows lie ahead of our clock: one of the two is wrong",
    "again": "a file is another one now, it is read from its start",
    "too_old": "files are older than max_age_days and are not begun",
    "late": "points came late",
}
_ONCE: Final = frozenset({"too_old", "late", "clock_ahead"})  # these come with every batch


@dataclass
class Account:
    """Of one source, since it was last written."""

    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    newest_ns: int = 0
    touched: bool = False

    def add(self, name: str, number: int) -> None:
        if number:
            self.counts[name] = self.counts.get(name, 0) + number


class Accounts:
    """Counts of every source; what is told once is told again after a restart."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._log = get_logger()
        self._accounts: dict[str, Account] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._written_at = 0.0

    def heard(self, source: str, batch: Batch, seconds: float) -> None:
        """A batch came."""
        account = self._accounts.setdefault(source, Account())
        account.touched = True
        account.seconds += seconds
        account.add("rows", sum(map(len, batch.samples)))
        account.add("samples", sum(one.values.size + len(one) * len(one.texts) for one in batch.samples))
        account.add("bad_rows", batch.bad_count)
        for name, number in batch.notes.items():
            account.add(name, number)
            if number and name in _WORDS and (name not in _ONCE or self._is_news(source, name, "")):
                self._log.warning(_WORDS[name], source=source, count=number)
        account.newest_ns = max(account.newest_ns, _newest(batch.samples))
        for row in batch.bad:
            if self._is_news(source, row.origin, _NUMBERS.sub("#", row.reason)):
                where = {"file": row.origin, "line": row.line, "reason": row.reason, "row": row.text[:80]}
                self._log.warning("a row is set aside (others like it are only counted)", source=source, **where)

    def lines(self, now: float, *, at_once: bool = False) -> list[str]:
        """Points of what has been counted, every ten seconds; `now` is our clock."""
        if now - self._written_at < _EVERY_S and not at_once:
            return []
        self._written_at = now
        made = [self._line(name, account, now) for name, account in self._accounts.items() if account.touched]
        self._accounts.clear()
        return [text for text in made if text is not None]

    def _line(self, source: str, account: Account, now: float) -> str | None:
        fields: dict[str, Field] = {name: account.counts.get(name, 0) for name in ("rows", "samples", "bad_rows")}
        fields |= {name: number for name, number in account.counts.items() if name not in fields}
        fields["seconds"] = round(account.seconds, 6)
        if account.newest_ns:
            fields["lag_s"] = round(now - account.newest_ns / 1e9, 3)
        return line("housekeeper", {"site": self._site, "source": source}, fields, round(now * 1e9))

    def _is_news(self, *what: str) -> bool:
        key = (what[0], what[1], what[2])
        if key in self._told or len(self._told) >= _MOST_TOLD:
            return False
        self._told.add(key)
        return True


def _newest(samples: Sequence[Samples]) -> int:
    return max((int(one.times_ns.max()) for one in samples if len(one)), default=0)
