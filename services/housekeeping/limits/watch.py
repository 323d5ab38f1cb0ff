"""The limits of one source: its rows taken in, its conditions kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.housekeeping.limits.block import Block, block_of
from services.housekeeping.limits.book import SourceBook
from services.housekeeping.limits.codec import BadState
from services.housekeeping.limits.columns import Columns, arranged, wrong_words_in
from services.housekeeping.limits.envelope import Envelope
from services.housekeeping.limits.machine import Bools
from services.housekeeping.limits.memory import Memory
from services.housekeeping.limits.report import Report
from services.housekeeping.limits.signals import Signals, signals_of
from services.housekeeping.limits.staleness import Silence, tick
from services.housekeeping.limits.standing import open_alerts, verdicts_of
from services.housekeeping.limits.table import KIND_OF, NAN, RAILED, Floats
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import SECOND, Transition, Verdict, alert_name
from services.housekeeping.limits.units import same_unit
from services.housekeeping.samples import Samples

_CELLS = 200_000  # rows × parameters worked on at a time: bounds the memory


class Watch:
    """The state of one source; not for two threads at once."""

    def __init__(self, name: str, book: SourceBook, document: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on from what `state` gave.

        Raises
        ------
        BadState
            The document is damaged.
        """
        self.name = name
        self.book = book
        self.columns = Columns(book)
        self.silence = Silence()
        self.orphans: list[tuple[str, int]] = []
        self.envelope = Envelope(Memory.fresh(0, 1, 1))
        self.track = Track.new(self.columns.names)
        self.counts = np.zeros((2, len(self.columns.names)), dtype=np.int64)  # rows judged, rows beyond a limit
        if document is not None:
            self._restore(document)

    def state(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "track": self.track.dump(),
            "silence": self.silence.dump(),
            "orphans": [list(orphan) for orphan in self.orphans],
            "envelope": self.envelope.dump(),
        }

    def _restore(self, document: Mapping[str, Any]) -> None:
        try:
            old = Track.load(document["track"])
            self.silence = Silence(**{str(key): value for key, value in document["silence"].items()})
            self.orphans = [(str(alert), int(severity)) for alert, severity in document["orphans"]]
            memory = Memory.load(document["envelope"]["memory"])
            night, offered = int(document["envelope"]["night"]), int(document["envelope"]["offered_ns"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadState(f"the kept state of the limits cannot be read: {error}") from None
        self.columns.add(old.names)
        place = {name: column for column, name in enumerate(old.names)}
        gone = [name for name in old.names if name not in self.columns.places]
        self.orphans += open_alerts(self.name, old.chosen(gone))
        self.track = old.chosen(self.columns.names)
        self._room()
        moved = np.array([place.get(name, -1) for name in self.columns.names], dtype=np.int64)
        moved[moved >= len(memory.count)] = -1  # came after the memory had been made
        self.envelope = Envelope(memory.chosen(moved, len(moved)), night, offered)

    def _room(self) -> None:
        more = len(self.columns.names) - self.counts.shape[1]
        self.counts = np.pad(self.counts, ((0, 0), (0, more)))

    def feed(self, samples: Samples, learn_only: bool = False) -> list[Transition]:
        """Take rows in; with `learn_only` they teach the envelope, and nothing is said."""
        if len(samples) == 0:
            return []
        if self.columns.add([*samples.parameters, *self.columns.words_of(samples)]):
            self.track = self.track.chosen(self.columns.names)
            self._room()
        given = arranged(samples, self.columns, self.track)
        said: list[Transition] = []
        most = max(1, _CELLS // max(1, len(self.columns.names)))
        for rows in self.columns.segments(samples.times_ns, most):
            if self.columns.plan is not None:
                self.envelope = self.envelope.fitted(len(self.columns.names), self.columns.plan)
                self.envelope.turn(int(self.columns.plan.night_at(samples.times_ns[rows]).max()))
            wrong_words = wrong_words_in(given, self.columns.table.rules, rows)
            block = block_of(
                self.track, self.columns.table, samples.times_ns[rows], given.values[rows], given.present,
                wrong_words, self.columns.looked_at,
            )  # fmt: skip
            said += self._judge(block, given.texts, rows.start, learn_only)
        self.track.fresh |= given.present & self._speaks(given.values)
        for name in samples.parameters:
            self.track.texts.pop(name, None)
        self.track.texts.update({name: words[-1] for name, words in samples.texts.items() if name in given.kept})
        return said

    def _speaks(self, values: Floats) -> Bools:
        """A row without a number is a word from the sensor where it is an alert of its own, else it is silence."""
        return np.asarray(np.isfinite(values).any(axis=0) | self.columns.table.asked[NAN])

    def _judge(
        self, block: Block, texts: Mapping[int, tuple[str, ...]], first: int, learn_only: bool
    ) -> list[Transition]:
        table, plan = self.columns.table, self.columns.plan
        scores, bins = np.full(block.values.shape, np.nan), None
        if plan is not None:
            bins = plan.bins_at(block.times_ns, block.states)
            scores[:, plan.columns] = self.envelope.score(plan, bins, block.values)
        signals = signals_of(self.track, table, block, scores, self._wrong_units())
        if plan is not None and bins is not None:
            out = signals.breach[:, :4].any(axis=1) | signals.breach[:, RAILED]
            good = block.known & block.active & block.present & ~out
            self.envelope.learn(plan, block.times_ns, bins, block.values, good, learn_only)
        if learn_only:
            return []
        self.counts[0] += block.present * len(block.times_ns)
        self.counts[1] += signals.breach.any(axis=1).sum(axis=0)
        report = Report(self.name, self.track, table, block, signals, texts, first, plan, bins, self.envelope)
        return self._run(block, signals, report)

    def _run(self, block: Block, signals: Signals, report: Report) -> list[Transition]:
        machine, rows = self.track.machine, len(block.times_ns)
        stirred = signals.breach.any(axis=0)
        stirred |= machine.busy(slice(stirred.size)).reshape(stirred.shape)
        chosen = np.flatnonzero(stirred & block.present)
        if not len(chosen):
            return []
        on = machine.on.copy()
        breach, clear, valid = (
            whole.reshape(rows, -1)[:, chosen] for whole in (signals.breach, signals.clear, signals.valid)
        )
        elapsed = block.elapsed[:, chosen % len(self.track.names)]
        said: list[Transition] = []
        patience = self.columns.table.patience.take(chosen)
        for row, changed in machine.run(chosen, breach, clear, valid, elapsed, patience):
            on[changed] = ~on[changed]
            said += report.changes(row, changed, on.reshape(len(KIND_OF), -1))
        return said

    def _wrong_units(self) -> Bools:
        wrong = np.zeros(len(self.columns.names), dtype=bool)
        for name, unit in self.track.units.items():
            column = self.columns.places[name]
            rule = self.columns.table.rules[column]
            wrong[column] = rule is not None and rule.unit is not None and not same_unit(rule.unit, unit)
        return wrong

    def tick(self, now_ns: int) -> list[Transition]:
        """Look who is silent."""
        self.columns.use(self.columns.form_at(now_ns))
        table = self.columns.table
        said = [Report.orphan(alert, severity, now_ns) for alert, severity in self.orphans]
        self.orphans = []
        silent_ns = round((self.book.silent_s or 0) * SECOND)
        for change in tick(self.silence, self.track, table, silent_ns, self.columns.by_pattern, now_ns):
            said += Report.silence(self.name, self.track, table, self.silence, change, now_ns)
        return said

    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        """How every parameter with limits stands."""
        return verdicts_of(self.name, self.track, self.columns.table)

    def held(self) -> list[tuple[str, int]]:
        """Names and severities of the alerts that were said to be open."""
        silent = [(alert_name(self.name, "*", "stale"), max(1, self.silence.severity))] if self.silence.silent else []
        return [*open_alerts(self.name, self.track), *silent, *self.orphans]
