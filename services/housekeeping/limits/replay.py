"""Rules run over recorded rows: every alert that would have been sent, and how far each parameter was out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from services.housekeeping.limits.book import LimitBook
from services.housekeeping.limits.engine import Engine
from services.housekeeping.limits.table import Floats
from services.housekeeping.limits.transition import SECOND, Transition
from services.housekeeping.samples import Samples

_MOST_TICKS: Final = 2000  # of one gap; in a long one the clock is looked at less often


@dataclass(frozen=True)
class Episode:
    """An alert from its beginning to its end; `resolved_ns` is None when the recording ends first.

    `worst` is the transition with the highest severity.
    """

    first: Transition
    worst: Transition
    resolved_ns: int | None

    @property
    def duration_s(self) -> float | None:
        """How long it was open."""
        return None if self.resolved_ns is None else (self.resolved_ns - self.first.time_ns) / SECOND


@dataclass(frozen=True)
class Summary:
    """One parameter over the recording: rows, the share of them beyond a limit, alerts, and the values seen."""

    source: str
    parameter: str
    samples: int
    out: float
    alerts: int
    lowest: float
    median: float
    highest: float
    limited: bool


def replay(engine: Engine, book: LimitBook, parts: Iterable[Samples]) -> list[Transition]:
    """Feed the parts (from `parts_of`) in their order, with a clock that runs with their times."""
    step = _step(book)
    said: list[Transition] = []
    now = None
    for part in parts:
        first, last = int(part.times_ns[0]), int(part.times_ns.max())
        now = first if now is None else now
        for when in _clock(now, first, step):
            said += engine.tick(when)
        said += engine.feed(part)
        now = max(now, last)
        said += engine.tick(now)
    return said


def parts_of(book: LimitBook, recorded: Sequence[Samples]) -> list[Samples]:
    """Rows of any sources in the order of their times, cut where the clock must be looked at; each stays as it is."""
    return sorted(_parts(recorded, _step(book)), key=lambda part: int(part.times_ns[0]))


def _step(book: LimitBook) -> int:
    """How often the clock must be looked at so that no silence is missed, ns."""
    limits = [rule.stale_s for source in book.sources.values() for entry in source.entries for rule in entry.rules]
    limits += [source.silent_s for source in book.sources.values()]
    return max(SECOND, round(min((limit for limit in limits if limit is not None), default=600.0) * SECOND) // 4)


def _parts(recorded: Sequence[Samples], step: int) -> Iterator[Samples]:
    """Rows cut where the clock is looked at, or where they go back."""
    for samples in recorded:
        bins = samples.times_ns // step
        cuts = [0, *(np.flatnonzero(np.diff(bins)) + 1).tolist(), len(samples)]
        for begin, end in itertools.pairwise(cuts):
            if end > begin:
                yield rows_of(samples, begin, end)


def _clock(now: int, until: int, step: int) -> Iterator[int]:
    if until - now > step:
        wide = max(step, (until - now) // _MOST_TICKS)
        yield from range(now + wide, until, wide)
        yield until - 1  # a silence that was just too long


def rows_of(samples: Samples, begin: int, end: int) -> Samples:
    """Some rows of it."""
    texts = {name: words[begin:end] for name, words in samples.texts.items()}
    return replace(samples, times_ns=samples.times_ns[begin:end], values=samples.values[begin:end], texts=texts)


def between(samples: Samples, begin_ns: int | None, end_ns: int | None) -> Samples:
    """The rows from a time on, and before another."""
    keep = np.ones(len(samples), dtype=bool)
    if begin_ns is not None:
        keep &= samples.times_ns >= begin_ns
    if end_ns is not None:
        keep &= samples.times_ns < end_ns
    texts = {
        name: tuple(word for word, kept in zip(words, keep, strict=True) if kept)
        for name, words in samples.texts.items()
    }
    return replace(samples, times_ns=samples.times_ns[keep], values=samples.values[keep], texts=texts)


def episodes(said: Sequence[Transition]) -> list[Episode]:
    """Alerts from beginning to end, in the order in which they began."""
    running: dict[str, Episode] = {}
    done: list[Episode] = []
    for one in said:
        if one.opened:
            known = running.get(one.alert)
            if known is None:
                running[one.alert] = Episode(one, one, None)
            elif one.severity > known.worst.severity:
                running[one.alert] = replace(known, worst=one)
        elif one.alert in running:
            done.append(replace(running.pop(one.alert), resolved_ns=one.time_ns))
    return sorted([*done, *running.values()], key=lambda episode: (episode.first.time_ns, episode.first.alert))


def summaries(engine: Engine, recorded: Sequence[Samples], found: Sequence[Episode]) -> list[Summary]:
    """How each parameter did, in the order of the recording."""
    values: dict[tuple[str, str], list[Floats]] = {}
    for samples in recorded:
        for column, name in enumerate(samples.parameters):
            values.setdefault((samples.source, name), []).append(samples.values[:, column])
        for name in samples.texts:
            values.setdefault((samples.source, name), []).append(np.full(len(samples), np.nan))
    alerts = Counter((episode.first.source, episode.first.parameter) for episode in found)
    tally = engine.tally()
    made = []
    for key, parts in values.items():
        every = np.concatenate(parts)
        numbers = every[np.isfinite(every)]
        low, middle, high = map(float, np.percentile(numbers, (0, 50, 100))) if len(numbers) else (np.nan,) * 3
        rows, out = tally.get(key, (0, 0))
        made.append(Summary(*key, len(every), out / max(rows, 1), alerts[key], low, middle, high, key in tally))
    return made
