"""The housekeeper: sources → metrics, limits, alerts, last values.

Every source is polled in a thread of its own. The loop takes what they have, feeds the limits, and keeps it all
(`keeping`); only then does a source hear that its rows are safe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from services.core.daemon import Backoff, Daemon
from services.core.errors import BadSettings, LedgerUnreachable
from services.core.ledger.engine import Ledger
from services.core.ledger.engine import now as ledger_time
from services.core.metrics.spool import Spool, SpoolUnwritable
from services.core.settings import Settings
from services.housekeeping.absence import Absences, Standstill
from services.housekeeping.accounts import Accounts
from services.housekeeping.alerting import AlertClerk
from services.housekeeping.firstengine import first_engine
from services.housekeeping.keeping import Keeper, Round
from services.housekeeping.limits.book import load_limits
from services.housekeeping.limits.codec import BadState
from services.housekeeping.limits.engine import Engine
from services.housekeeping.limits.transition import Transition
from services.housekeeping.misdated import Misdated
from services.housekeeping.past import Past
from services.housekeeping.points import PointMaker
from services.housekeeping.runner import Pace, Runner
from services.housekeeping.sources.base import Batch, Source
from services.housekeeping.sources.registry import make_source
from services.housekeeping.standing import Standings
from services.housekeeping.store import STORE_NAME, StoreDamaged, StoreUnreachable, open_or_begin_anew

_GATHER_S: Final = (
    0.5  # how long the loop waits for sources that are being read; a slower one comes with the next round
)
_TICK_S: Final = 1.0
_HANGS_S: Final = 10.0
_REMEMBER_S: Final = 60.0  # how often the state of the limits is kept while there are no rows
_END_WITHIN_S: Final = 3.0
_AWAY: Final = (LedgerUnreachable, SpoolUnwritable, StoreUnreachable)


class Housekeeper:
    """The loop. All its state is in the store and in the ledger.

    Raises
    ------
    BadSettings
        When it is made: the limits file has mistakes.
    """

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool) -> None:
        assert settings.housekeep is not None
        self._daemon = daemon
        self._settings = settings.housekeep
        self._ledger = ledger
        self._log = daemon.log
        self._store, damage = open_or_begin_anew(settings.state_dir / STORE_NAME, self._settings.keep_s)
        if damage:
            self._log.error("the housekeeper's file is set aside; all files are read again", reason=damage)
        self._clerk = AlertClerk(self._store)
        self._keeper = Keeper(ledger, spool, self._store, self._clerk)
        self._points = PointMaker(settings.site)
        self._accounts = Accounts(settings.site)
        self._standings = Standings()
        sources, limits = self._settings.sources, self._settings.limits
        state = self._store.state("limits")
        try:
            self._engine = first_engine(limits, state, sources) if limits is not None else None
        except BadSettings:
            self._store.close()
            raise
        self._ticked = self._remembered = float("-inf")
        self._refused = ""  # why the limits file was not taken when it was read again
        self._settled = False
        patience = {name: source.unreachable_after_s for name, source in sources.items()}
        self._absences = Absences(ledger, patience, self._store.identity)
        self._misdated = Misdated(ledger, patience, self._store.identity)
        self._standstill = Standstill(ledger)
        self._past = Past({name: source.past_s for name, source in sources.items()}, self._store.state("past"))
        self._pace = Pace(threading.Event(), daemon.wake.set)
        self._runners = {name: self._runner(name) for name in sources}

    def _runner(self, name: str) -> Runner:
        source = self._settings.sources[name]

        def make(nudge: Callable[[], None]) -> Source:
            return make_source(name, source, self._store.positions(name), nudge)

        return Runner(name, make, source.poll_s or self._settings.poll_s, self._pace)

    def run(self) -> None:
        """Follow the sources until the stop signal."""
        self._daemon.ready()
        try:
            while not self._daemon.stop.is_set():
                self._round()
                if self._daemon.wait(self._pause_s()):
                    break
        finally:
            self._end()

    def _pause_s(self) -> float:
        """Until the next source is due; one that is being read wakes us when it is through."""
        due = min((runner.due for runner in self._runners.values() if not runner.busy), default=float("inf"))
        return min(max(0.0, due - time.monotonic()), self._settings.poll_s, _TICK_S)

    def _end(self) -> None:
        deadline = time.monotonic() + _END_WITHIN_S
        for runner in self._runners.values():
            runner.stop(max(0.0, deadline - time.monotonic()))
        self._store.close()

    def _round(self) -> None:
        """One look at every source that is due, and all that comes of it."""
        if self._daemon.reload.is_set():
            self._daemon.reload.clear()
            self._reload()
        behind = self._behind()
        batches = self._gather()
        now = ledger_time()
        work = Round(now, batches, self._feed(batches, now))
        work.lines = [text for one in work.samples for text in self._points.lines(one)]
        if self._engine is not None and (batches or work.transitions):
            self._standings.see(work.samples)
            work.standings, lines = self._standings.changed(
                self._engine, now, self._points, alerted=bool(work.transitions)
            )
            work.limits = self._standings.limits
            work.lines = [*work.lines, *lines]
            self._remembered = float("-inf")
        self._remember(work)
        for name, batch in batches.items():
            self._accounts.heard(name, batch, self._runners[name].seconds)
        work.lines = [*work.lines, *self._accounts.lines(now)]
        if batches or work.transitions or work.lines or work.states:
            if not self._keep(work):
                return  # stopped before it was safe: it is read again
            for name in batches:
                self._runners[name].committed()
        self._settle()
        self._absences.look(self._runners.values(), now, time.monotonic())
        spoke = {name for name, batch in batches.items() if batch.samples and name not in behind}
        self._misdated.look(spoke, self._past.old(round(now * 1e9)), now, time.monotonic())
        self._daemon.beat(self._status())

    def _remember(self, work: Round) -> None:
        """The state of the limits: with rows, and without them now and then, for it holds who is silent since when."""
        if self._engine is not None and self._ticked > float("-inf"):
            now = time.monotonic()
            if work.batches or now - self._remembered >= _REMEMBER_S:
                self._remembered = now
                work.states |= {"limits": self._engine.state(), "past": self._past.state()}

    def _gather(self) -> dict[str, Batch]:
        """What the sources have that are due; nobody waits long for one that hangs."""
        now = time.monotonic()
        self._pace.done.clear()
        fresh = [runner for runner in self._runners.values() if runner.ask(now) and runner.away_s(now) < _GATHER_S]
        while any(runner.busy for runner in fresh) and time.monotonic() - now < _GATHER_S:
            self._pace.done.wait(max(0.0, _GATHER_S - (time.monotonic() - now)))
            self._pace.done.clear()
        found = {name: runner.take() for name, runner in self._runners.items()}
        return {name: batch for name, batch in found.items() if batch is not None}

    def _feed(self, batches: dict[str, Batch], now: float) -> list[Transition]:
        if self._engine is None:
            return []
        behind = self._behind()
        rows = [one for batch in batches.values() for one in batch.samples]
        said = [step for one in rows for step in self._engine.feed(one)]
        if time.monotonic() - self._ticked >= _TICK_S:
            self._ticked = time.monotonic()
            said += self._engine.tick(round(now * 1e9), behind)
        self._past.see(rows)
        return self._past.sift(said, behind, round(now * 1e9))

    def _behind(self) -> set[str]:
        """Sources that answer and are not read to where they are: nobody knows whether they are silent."""
        clock = time.monotonic()
        return {
            name
            for name, runner in self._runners.items()
            if not (runner.read_up or runner.trouble) and runner.away_s(clock) < _HANGS_S
        }

    def _keep(self, work: Round) -> bool:
        """Keep a round, however long it takes; False when the daemon is stopped before."""
        backoff, since = Backoff(0.5, 30.0), time.monotonic()
        while True:
            try:
                self._keeper.keep(work)
                self._standstill.goes(ledger_time())
                return True
            except StoreDamaged:
                raise
            except _AWAY as error:
                self._standstill.stands(str(error), time.monotonic() - since, ledger_time())
                pause_s = backoff.next_s()
                self._log.warning("housekeeping waits", reason=str(error), pause_s=round(pause_s, 1))
                self._daemon.beat(f"waiting: {error}")
                if self._daemon.stop.wait(pause_s):
                    return False

    def _settle(self) -> None:
        """Once after the start, when every source has been read to where it is: alerts that nobody holds are over."""
        if self._settled or self._behind():
            return
        held = self._engine.held() if self._engine is not None else frozenset()
        self._past.forget(held)
        clock = time.monotonic()
        answers = {name: not one.trouble and one.away_s(clock) < _HANGS_S for name, one in self._runners.items()}
        try:
            with self._ledger.begin() as conn:
                over = self._clerk.settle(conn, answers, held, ledger_time())
            self._store.commit(states={"alerts": self._clerk.counts})
            self._settled = True
        except _AWAY as error:
            self._log.warning("alerts of before are not settled yet", reason=str(error))
            return
        if over:
            self._log.info("alerts that no row says any more are over", alerts=over)

    def _reload(self) -> None:
        """Read the limits file again; one with mistakes changes nothing."""
        path = self._settings.limits
        if path is None or self._engine is None:
            return
        try:
            self._engine = Engine(load_limits(path), self._engine.state())
        except (BadSettings, BadState) as error:
            self._log.error("the limits file is bad; the limits that were in force stay", reason=str(error))
            self._refused = f"; the limits file is bad, older limits hold: {error}"
            return
        self._refused = ""
        self._engine.expect(self._settings.sources)
        self._standings.reload()
        self._log.info("limits read again", file=str(path))

    def _status(self) -> str:
        away = [name for name, runner in self._runners.items() if runner.trouble]
        words = f"{len(self._runners)} {'source' if len(self._runners) == 1 else 'sources'}"
        return (f"{words}, away: {', '.join(away)}" if away else words) + self._refused
