"""The conductor: reads the ledger, writes down what is ready, puts it into the queues, and sweeps up after crashes."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from redis import Redis
from sqlalchemy import Connection

from processors.associate import CalibrationKey, MasterRef
from processors.identity import FrameIdentity, SequenceRef
from services.conductor.plan import plan
from services.conductor.view import FrameView, Rules, TaskView, View
from services.core.daemon import Backoff, Daemon
from services.core.errors import RedisUnreachable
from services.core.ledger import centre
from services.core.ledger.engine import Ledger, now
from services.core.metrics.spool import Spool
from services.core.queues import Queues, await_hint, connect, job_id
from services.core.settings import Settings

_ACTIVE_S = 2 * 86_400.0  # nights in which nothing moved for longer are not planned again until something does


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
        conduct = settings.conduct
        self._rules = Rules(
            production=conduct.production,
            sequence_quiet_s=conduct.sequence_quiet_s,
            calibration_wait_s=conduct.calibration_wait_s,
            calibration_max_age_days=conduct.calibration_max_age_days,
            min_bias=conduct.min_bias,
            min_flat=conduct.min_flat,
            reduce_without=frozenset(conduct.reduce_without),
        )
        self._planned_event = -1
        self._planned_at = float("-inf")
        self._swept_at = float("-inf")

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
            newest = centre.last_event(conn)
        late = time.monotonic() - self._planned_at >= self._conduct.sweep_s
        if newest == self._planned_event and not late:
            return
        started = time.monotonic()
        with self._ledger.read() as conn:
            view = self._view(conn)
        # Decided outside of any transaction: the ledger is not kept waiting. There is one conductor, and what it writes
        # may be written twice.
        made = plan(view, self._rules, now())
        with self._ledger.begin() as conn:
            for task in made.new:
                centre.add_task(conn, task, self._rules.production, now())
            for freed in made.freed:
                centre.free_task(conn, freed.task, freed.parameters, freed.inputs, now())
        self._planned_event = newest
        self._planned_at = time.monotonic()
        self._daemon.beat(f"{len(view.frames)} frames in view, {len(view.tasks)} tasks")
        fields = {"seconds": time.monotonic() - started, "frames": len(view.frames), "new": len(made.new)}
        self._spool.write("conductor_plan", fields)

    def _view(self, conn: Connection) -> View:
        production = self._rules.production
        nights = centre.active_nights(conn, now() - _ACTIVE_S)
        rows = centre.tasks_of(conn, production, nights)
        inputs = centre.inputs_of(conn, production, nights)
        days = self._rules.calibration_max_age_days + 1
        first, last = shifted(nights[0], -days) if nights else "", shifted(nights[-1], days) if nights else ""
        return View(
            frames=tuple(
                FrameView(row.sha256, identity_of(row.identity), row.state, row.created_at)
                for row in centre.frames_of(conn, nights)
            ),
            tasks=tuple(
                TaskView(row.task, row.kind, row.state, dict(row.parameters), tuple(inputs.get(row.task, ())))
                for row in rows
            ),
            masters=tuple(
                MasterRef(CalibrationKey(**row.key), row.date_obs, row.path, row.sha256)
                for row in centre.calibrations_of(conn, production, first, last)
            ),
        )

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
        with self._ledger.begin() as conn:
            for row in centre.tasks_in(conn, production, "queued"):
                if job_id(row.task, row.attempts) not in waiting and now() - row.updated_at > 1.0:
                    centre.move_if(conn, row.task, "queued", "ready", now(), "not in Redis any more")
            for row in centre.tasks_in(conn, production, "running"):
                if row.lease_until is not None and row.lease_until < now():
                    reason = f"worker {row.worker} fell silent"
                    centre.take_back(conn, row.task, now(), self._work.max_attempts, reason)
        for queue, depth in self._queues.depths().items():
            self._spool.write("queue", {"depth": depth}, {"queue": queue})


def shifted(night: str, days: int) -> str:
    """The night so many days later (or earlier)."""
    return (datetime.strptime(night, "%Y%m%d") + timedelta(days=days)).strftime("%Y%m%d")


def identity_of(stored: dict[str, object]) -> FrameIdentity:
    """A `FrameIdentity` from its JSON form in the ledger."""
    fields: dict[str, object] = dict(stored)
    sequence = fields.get("sequence")
    if isinstance(sequence, dict):
        fields["sequence"] = SequenceRef(**sequence)
    for name in ("detectors", "flags"):
        value = fields.get(name)
        fields[name] = tuple(value) if isinstance(value, list | tuple) else ()
    return FrameIdentity(**fields)  # type: ignore[arg-type]
