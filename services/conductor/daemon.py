"""The conductor: reads the ledger, writes down what is ready, puts it into the queues, and sweeps up after crashes."""

from __future__ import annotations

import time
from collections.abc import Iterable

from redis import Redis

from processors.instrument import load_instruments
from services.conductor.rounds import plan_round
from services.conductor.rules import rules_of
from services.conductor.sequences import SequenceNews, sequence_news
from services.conductor.view import FrameView
from services.core.daemon import Backoff, Daemon
from services.core.errors import RedisUnreachable
from services.core.ledger import centre, planning
from services.core.ledger.engine import Ledger, now
from services.core.metrics.spool import Spool
from services.core.queues import Queues, await_hint, connect, job_id
from services.core.settings import Settings


class Conductor:
    """One loop: hint or timer → plan → dispatch → sweep. Nothing of it is remembered outside the ledger."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger, spool: Spool) -> None:
        assert settings.conduct is not None and settings.work is not None and settings.redis is not None
        self._daemon = daemon
        self._conduct = settings.conduct
        self._work = settings.work
        self._ledger = ledger
        self._spool = spool
        self._log = daemon.log
        self._redis: Redis = connect(settings.redis)
        self._queues = Queues(self._redis, settings.work.job_timeout_s)
        self._backoff = Backoff(0.5, 30.0)
        self._rules = rules_of(settings.conduct, load_instruments(settings.instruments_dirs))
        self._reviewed_all = True
        self._planned_event = -1
        self._planned_at = float("-inf")
        self._swept_at = float("-inf")
        self._told: set[SequenceNews] = set()

    def run(self) -> None:
        """Conduct until the stop signal."""
        self._daemon.ready()
        while not self._daemon.stop.is_set():
            self._plan_if_moved()
            pause_s = 0.0
            try:
                self._dispatch()
                if time.monotonic() - self._swept_at >= self._conduct.sweep_s:
                    self._sweep()
                    self._swept_at = time.monotonic()
                # The hint is waited for in short steps, so that the stop signal and the watchdog are heard.
                await_hint(self._redis, min(1.0, self._conduct.poll_s))
                self._backoff.reset()
            except RedisUnreachable as error:
                pause_s = self._backoff.next_s()
                self._log.warning("redis away, tasks wait in the ledger", reason=str(error), pause_s=round(pause_s, 1))
            if self._daemon.wait(pause_s):
                break

    def _plan_if_moved(self) -> None:
        """Plan when something moved in the ledger, and from time to time because sequences fall quiet by themselves."""
        with self._ledger.read() as conn:
            newest = planning.last_event(conn)
        late = time.monotonic() - self._planned_at >= self._conduct.sweep_s
        if newest == self._planned_event and self._reviewed_all and not late:
            return
        started = time.monotonic()
        done = plan_round(self._ledger, self._rules, now())
        self._reviewed_all = done.reviewed_all
        self._planned_event = newest
        self._planned_at = time.monotonic()
        frames = len(done.view.frames)
        self._daemon.beat(f"{frames} frames in view, {len(done.view.tasks)} tasks")
        fields = {"seconds": time.monotonic() - started, "frames": frames, "new": len(done.made.new)}
        self._spool.write("conductor_plan", fields)
        self._tell_of_sequences(done.view.frames)

    def _tell_of_sequences(self, frames: Iterable[FrameView]) -> None:
        """Once each; after a restart those in view are told again, as the very same points."""
        news = set(sequence_news(frames, self._conduct.sequence_quiet_s, now()))
        self._spool.write_points(item.point for item in sorted(news - self._told, key=lambda item: item.at))
        self._told = news

    def _dispatch(self) -> None:
        with self._ledger.read() as conn:
            due = centre.ready_tasks(conn, self._rules.production, now())
        for row in due:
            if self._daemon.stop.is_set():
                return
            # The ledger's word first: what a crash, or Redis, then loses is found by the sweep.
            with self._ledger.begin() as conn:
                mine = centre.move_if(conn, row.task, "ready", "queued", now())
            if mine:
                self._queues.enqueue(row.task, row.queue, row.attempts)
            self._daemon.beat()

    def _sweep(self) -> None:
        """Queued tasks that Redis lost, and running tasks whose worker is gone, are made ready again."""
        waiting = self._queues.waiting()
        production = self._rules.production
        requeued = taken_back = 0
        with self._ledger.begin() as conn:
            for row in centre.tasks_in(conn, production, "queued"):
                if job_id(row.task, row.attempts) not in waiting and now() - row.updated_at > 1.0:
                    requeued += centre.move_if(conn, row.task, "queued", "ready", now(), "not in Redis any more")
            for row in centre.tasks_in(conn, production, "running"):
                if row.lease_until is not None and row.lease_until < now():
                    reason = f"worker {row.worker} fell silent"
                    centre.take_back(conn, row.task, now(), self._work.max_attempts, reason)
                    taken_back += 1
        self._spool.write("conductor_sweep", {"requeued": requeued, "taken_back": taken_back})
        for queue, depth in self._queues.depths().items():
            self._spool.write("queue", {"depth": depth}, {"queue": queue})
