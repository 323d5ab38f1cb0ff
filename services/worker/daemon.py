"""The worker: an RQ worker that loads everything before it forks, stops in time, and lets the ledger decide."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import FrameType
from typing import Any, ClassVar

from redis.exceptions import ConnectionError, RedisError
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import StopRequested

from processors.instrument import load_instruments
from services.core.daemon import Backoff, Daemon
from services.core.ledger import centre
from services.core.ledger.engine import Ledger, now
from services.core.queues import connect
from services.core.settings import Settings, WorkSettings
from services.worker import job as jobs
from services.worker.preload import preload

_GRACE_S = 3.5  # systemd and the operator expect a stop within 5 s
_LISTEN_AGAIN_S = 2.0


class FerryWorker(Worker):
    """RQ's worker with our stop, our watchdog, and a ledger that hears of a killed job at once.

    A job in hand gets `_GRACE_S` to end, then its process is killed. Killing is safe: every task is repeatable, and
    its products appear whole or not at all.
    """

    daemon: ClassVar[Daemon]
    ledger: ClassVar[Ledger]
    work_settings: ClassVar[WorkSettings]
    taken = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._over = threading.Event()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM and SIGINT: take no more jobs."""
        self.daemon.stop.set()
        if self.horse_pid:
            timer = threading.Timer(_GRACE_S, self.kill_horse)
            timer.daemon = True
            timer.start()
        super().request_stop(signum, frame)

    def _shutdown(self) -> None:
        # RQ asks Redis whether a job is in hand; when Redis is away the stop would be lost there.
        if self.horse_pid:
            self._stop_requested = True
        else:
            raise StopRequested

    def teardown(self) -> None:
        """The end, also without Redis: RQ would leave its thread behind then, and its connection, for each outage."""
        self._over.set()
        try:
            super().teardown()
        finally:
            if self.pubsub_thread is not None:
                self.pubsub_thread.stop()

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        # In the thread that listens for RQ's commands. Redis-py connects it again by itself, after a pause.
        if isinstance(exc, ConnectionError) or self._over.is_set():
            self._over.wait(_LISTEN_AGAIN_S)
        else:
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Fork, run, wait."""
        self.taken += 1
        super().execute_job(job, queue)

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        """RQ calls this at every safe point; so it feeds our watchdog too."""
        self.daemon.beat(f"listening on {', '.join(self.queue_names())}; {self.taken} jobs taken since the start")
        super().heartbeat(*args, **kwargs)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:  # noqa: ARG002
        """A job's process died (out of memory, a signal): its task does not have to wait for the lease to run out."""
        task = str(job.args[0])
        # Our own stop is no fault of the task's.
        most = sys.maxsize if self.daemon.stop.is_set() else self.work_settings.max_attempts
        reason = f"its process ended with status {ret_val}"
        with self.ledger.begin() as conn:
            centre.take_back(conn, task, now(), most, reason, worker=jobs.worker_name(retpid))


class WorkerDaemon:
    """Loads, then works until the stop signal; Redis going away is a pause."""

    def __init__(self, daemon: Daemon, settings: Settings, ledger: Ledger) -> None:
        assert settings.work is not None and settings.redis is not None
        self._daemon = daemon
        self._settings = settings
        self._work = settings.work
        self._redis = connect(settings.redis)
        FerryWorker.daemon = daemon
        FerryWorker.ledger = ledger
        FerryWorker.work_settings = settings.work

    def run(self) -> None:
        """Work until the stop signal."""
        jobs.CONTEXT = jobs.Context(self._settings, load_instruments(self._settings.instruments_dirs))
        preload()
        self._daemon.ready()
        backoff = Backoff(0.5, 10.0)
        # RQ's handlers stay in place between two of its workers: the stop signal may come as this exception anywhere.
        with contextlib.suppress(StopRequested):
            while not self._daemon.stop.is_set():
                try:
                    self._work_on()
                    backoff.reset()
                except RedisError as error:
                    pause_s = backoff.next_s()
                    self._daemon.log.warning("redis away", reason=str(error), pause_s=round(pause_s, 1))
                    self._daemon.wait(pause_s)

    def _work_on(self) -> None:
        queues = [Queue(name, connection=self._redis, serializer=JSONSerializer) for name in self._work.queues]
        worker = FerryWorker(
            queues,
            connection=self._redis,
            serializer=JSONSerializer,
            worker_ttl=20,
            job_monitoring_interval=5,
            log_job_description=False,
        )
        worker.max_connection_wait_time = 1
        try:
            worker.work(logging_level="WARNING")
        finally:
            with contextlib.suppress(RedisError):
                worker.connection.connection_pool.disconnect()
