"""Which parameters of a source are looked at, and the arrays of their rules at any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.housekeeping.limits.book import SourceBook, watched
from services.housekeeping.limits.envelope import Plan, plan_of
from services.housekeeping.limits.machine import Bools, Ints
from services.housekeeping.limits.rule import Rule
from services.housekeeping.limits.table import Floats, Table, table_of
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import NEVER
from services.housekeeping.samples import Samples

_DAY: Final = 86_400 * 1_000_000_000


class Columns:
    """The parameters with a rule and those that rules look at, in a fixed order; others are passed over."""

    def __init__(self, book: SourceBook) -> None:
        self._book = book
        self._dates = np.array(sorted({date for entry in book.entries for date in entry.dates[1:]}), dtype=np.int64)
        self._forms: dict[int, tuple[Table, Plan | None]] = {}
        self._seen: set[str] = set()
        self.names: list[str] = []
        self.places: dict[str, int] = {}
        self.looked_at: Ints = np.zeros(0, dtype=np.int64)
        self.by_pattern: Bools = np.zeros(0, dtype=bool)  # nobody has named these
        self._form = 0
        self.use(0)
        self.add(entry.name for entry in book.entries if not entry.is_pattern)

    def add(self, parameters: Iterable[str]) -> bool:
        """Take up those that are new and have limits; whether there were any."""
        before = len(self.names)
        looked_at = {self.names[column] for column in self.looked_at}
        new = [name for name in parameters if name not in self._seen]
        if not new:
            return False
        self._seen.update(new)
        waiting = [name for name in new if self._book.entry(name) is not None]
        while waiting:
            name = waiting.pop(0)
            if self._take(name):
                entry = self._book.entry(name)
                helpers = {helper: None for rule in entry.rules for helper in rule.helpers()} if entry else {}
                looked_at.update(helpers)
                waiting += helpers  # which may have rules of their own, that look at others
        if len(self.names) == before:
            return False
        self.looked_at = np.array(sorted(self.places[name] for name in looked_at), dtype=np.int64)
        entries = [self._book.entry(name) for name in self.names]
        self.by_pattern = np.array([entry is not None and entry.is_pattern for entry in entries], dtype=bool)
        self._forms.clear()
        self.use(self._form)
        return True

    def _take(self, name: str) -> bool:
        if name in self.places:
            return False
        self.places[name] = len(self.names)
        self.names.append(name)
        return True

    def words_of(self, samples: Samples) -> list[str]:
        """Columns of words that have a rule for words; a pattern for numbers does not mean them."""
        entries = ((name, self._book.entry(name)) for name in samples.texts)
        return [name for name, entry in entries if entry and any(not rule.numeric for rule in entry.rules)]

    def form_at(self, time_ns: int) -> int:
        """Which of the dated forms of the rules holds at a time."""
        return int(np.searchsorted(self._dates, time_ns, side="right"))

    def use(self, form: int) -> None:
        """Make `table` and `plan` those of a form."""
        if form not in self._forms:
            time_ns = int(self._dates[form - 1]) if form else NEVER
            rules: list[Rule | None] = [self._book.rule(name, time_ns) for name in self.names]
            self._watch_switches(rules)
            self._forms[form] = (table_of(rules, self.places), plan_of(rules, self.places))
        self._form = form
        self.table, self.plan = self._forms[form]

    def _watch_switches(self, rules: list[Rule | None]) -> None:
        """A parameter of a `when` that falls silent while it says "off" would switch the limits off for good."""
        stale_s: dict[str, list[float]] = {}
        for rule in rules:
            if rule is not None and rule.when is not None:
                times = stale_s.setdefault(rule.when.parameter, [])
                times += [rule.stale_s] if rule.stale_s is not None else []
        for name, times in stale_s.items():
            column = self.places[name]
            rules[column] = rules[column] or watched(min(times, default=None))

    def segments(self, times_ns: Ints, most: int) -> Iterator[slice]:
        """Rows in which one form holds, which is in use then, and one night lasts; so many at a time at most."""
        forms = np.searchsorted(self._dates, times_ns, side="right")
        for begin, end in _runs(forms):
            self.use(int(forms[begin]))
            noon = self.plan.noon_ns if self.plan is not None else 0
            for first, last in _runs((times_ns[begin:end] - noon) // _DAY):
                for at in range(begin + first, begin + last, most):
                    yield slice(at, min(at + most, begin + last))


def _runs(numbers: Ints) -> list[tuple[int, int]]:
    """Begin and end of every stretch of equal numbers."""
    breaks = (np.flatnonzero(np.diff(numbers)) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, len(numbers)], strict=True))


@dataclass(frozen=True)
class Arranged:
    """Rows in our columns; `kept` are the names taken, `texts` the words by column."""

    values: Floats
    present: Bools
    texts: dict[int, tuple[str, ...]]
    kept: frozenset[str]


def arranged(samples: Samples, columns: Columns, track: Track) -> Arranged:
    """Rows brought into the order of our columns; units that the source gives are noted in the track."""
    values = np.full((len(samples), len(columns.names)), np.nan)
    present = np.zeros(len(columns.names), dtype=bool)
    theirs = [index for index, name in enumerate(samples.parameters) if name in columns.places]
    ours = [columns.places[samples.parameters[index]] for index in theirs]
    values[:, ours] = samples.values[:, theirs]
    present[ours] = True
    judged = columns.words_of(samples)
    texts = {columns.places[name]: words for name, words in samples.texts.items() if name in columns.places}
    for column, words in texts.items():
        present[column] = True
        # where a number is expected a word is none
        worded = columns.names[column] in judged
        values[:, column] = [0.0 if worded and word.strip() else np.nan for word in words]
    kept = frozenset(columns.names[column] for column in np.flatnonzero(present))
    track.units.update({name: unit for name, unit in samples.units.items() if name in kept and unit})
    return Arranged(values, present, texts, kept)


def wrong_words_in(given: Arranged, rules: Sequence[Rule | None], rows: slice) -> dict[int, Bools]:
    """By column of mode identity: where the value or word is not one of those allowed."""
    wrong = {}
    for column, rule in enumerate(rules):
        if rule is not None and rule.mode == "identity" and given.present[column]:
            words = given.texts.get(column)
            wrong[column] = _wrong(rule, given.values[rows, column], None if words is None else words[rows])
    return wrong


def _wrong(rule: Rule, values: Floats, words: tuple[str, ...] | None) -> Bools:
    if words is not None:
        allowed = {word if isinstance(word, str) else f"{word:g}" for word in rule.equal}
        return np.array([bool(word.strip()) and word.strip() not in allowed for word in words], dtype=bool)
    numbers = [float(word) for word in rule.equal if not isinstance(word, str)]
    same = np.zeros(len(values), dtype=bool)
    for number in numbers:
        same |= np.abs(values - number) <= 1e-9 * max(1.0, abs(number))
    return np.isfinite(values) & ~same
