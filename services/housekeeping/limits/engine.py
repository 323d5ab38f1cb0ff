"""The limit engine: rows of any source in, alerts that begin and end out; pure, and exact over restarts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import numpy as np

from services.housekeeping.limits.book import LimitBook
from services.housekeeping.limits.codec import BadState
from services.housekeeping.limits.report import Report
from services.housekeeping.limits.staleness import Silence
from services.housekeeping.limits.standing import open_alerts
from services.housekeeping.limits.track import Track
from services.housekeeping.limits.transition import Bands, Transition, Verdict, alert_name, finite
from services.housekeeping.limits.watch import Watch
from services.housekeeping.samples import Samples

_VERSION: Final = 1


class Engine:
    """Judges the rows of all sources by a book of limits.

    `feed` and `tick` are the only things that change it. What they answer does not depend on how the rows are cut
    into pieces, nor on restarts between them: an engine made with the `state` of another goes on as that one would.
    """

    def __init__(self, book: LimitBook, state: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on.

        Raises
        ------
        BadState
            The state is damaged, or of another version.
        """
        self._book = book
        self._watches: dict[str, Watch] = {}
        self._gone: list[tuple[str, int]] = []
        documents: dict[str, Any] = {}
        if state is not None:
            documents = self._documents(state)
        for name, document in documents.items():
            found = book.source(name)
            if found is not None:
                self._watches[name] = Watch(name, found, document)
            else:
                self._gone += _open_alerts(name, document)
        for name, source in book.sources.items():
            if name not in self._watches and not any(sign in name for sign in "*?["):
                self._watches[name] = Watch(name, source)

    def _documents(self, state: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if state["version"] != _VERSION:
                raise BadState(f"the kept state of the limits is of version {state['version']}, expected {_VERSION}")
            self._gone = [(str(alert), int(severity)) for alert, severity in state["gone"]]
            return dict(state["sources"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadState(f"the kept state of the limits cannot be read: {error}") from None

    def feed(self, samples: Samples) -> list[Transition]:
        """Judge rows, in the order in which they were written; of a source without limits nothing is said."""
        watch = self._watch(samples.source)
        return [] if watch is None else watch.feed(samples)

    def learn(self, night: Iterable[Samples]) -> None:
        """Take rows as a night (or several) of what is usual; nothing is said of them.

        The last night counts at once, as if the next one had begun.
        """
        watches = {}
        for samples in night:
            watch = self._watch(samples.source)
            if watch is not None:
                watch.feed(samples, learn_only=True)
                watches[samples.source] = watch
        for watch in watches.values():
            watch.envelope.close_night()

    def expect(self, sources: Iterable[str]) -> None:
        """These sources exist, also if only a pattern has limits for them: one that never speaks is missed."""
        for name in sources:
            self._watch(name)

    def tick(self, now_ns: int, without: Collection[str] = ()) -> list[Transition]:
        """Look who has been silent for too long; call it every few seconds with the time of the clock.

        Of the sources `without` there are rows that were not fed yet: nobody knows whether they are silent.
        """
        said = [Report.orphan(alert, severity, now_ns) for alert, severity in self._gone]
        self._gone = []
        for name, watch in self._watches.items():
            said += watch.tick(now_ns) if name not in without else []
        return said

    def state(self) -> dict[str, Any]:
        """Everything that is remembered, as JSON."""
        return {
            "version": _VERSION,
            "gone": [list(gone) for gone in self._gone],
            "sources": {name: watch.state() for name, watch in self._watches.items()},
        }

    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        """How every parameter with limits stands, by (source, parameter)."""
        return {key: verdict for watch in self._watches.values() for key, verdict in watch.verdicts().items()}

    def held(self) -> frozenset[str]:
        """Names of the alerts that were said to be open and not yet to be over, those of silent sources among them."""
        alerts = [alert for watch in self._watches.values() for alert, _ in watch.held()]
        return frozenset([*alerts, *(alert for alert, _ in self._gone)])

    def tally(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Rows judged and rows beyond any limit since this engine was made, by (source, parameter)."""
        return {
            (watch.name, name): (int(watch.counts[0, column]), int(watch.counts[1, column]))
            for watch in self._watches.values()
            for name, column in watch.columns.places.items()
            if watch.columns.table.rules[column] is not None
        }

    def bands(self, source: str, parameter: str, time_ns: int) -> Bands | None:
        """The limits in force; None when there are none. Relative ones follow the last commanded value."""
        rule = self._book.rule(source, parameter, time_ns)
        if rule is None:
            return None
        commanded = 0.0
        if rule.mode == "relative":
            commanded = rule.commanded if isinstance(rule.commanded, float) else self._known(source, rule.commanded)
        ends = [finite(end + commanded) for end in (*rule.warning, *rule.error)]
        shown = finite(commanded) if rule.mode == "relative" else None
        return Bands(rule.unit, rule.mode, ends[0], ends[1], ends[2], ends[3], rule.equal, shown)

    def _known(self, source: str, parameter: str | None) -> float:
        watch = self._watches.get(source)
        if watch is None or parameter not in watch.columns.places:
            return float(np.nan)
        return float(watch.track.known[watch.columns.places[parameter]])

    def _watch(self, source: str) -> Watch | None:
        if source not in self._watches:
            found = self._book.source(source)
            if found is None:
                return None
            self._watches[source] = Watch(source, found)
        return self._watches[source]


def _open_alerts(name: str, document: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Of a source that the limits file no longer knows."""
    try:
        track, silence = Track.load(document["track"]), Silence(**document["silence"])
    except (KeyError, TypeError) as error:
        raise BadState(f"the kept state of the limits cannot be read: {error}") from None
    alerts = open_alerts(name, track)
    return [*alerts, (alert_name(name, "*", "stale"), max(silence.severity, 1))] if silence.silent else alerts
