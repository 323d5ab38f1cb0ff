"""The Redis queues. They hold nothing that the ledger could not fill again, and carry task ids only, as JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from services.core.errors import RedisUnreachable
from services.core.settings import RedisSettings

if TYPE_CHECKING:
    from redis import Redis

QUEUES: Final = ("checks", "calibrations", "reductions")
JOB: Final = "services.worker.job.run_task"
_HINTS: Final = "nightferry:arrivals"
_HINTS_KEPT: Final = 1000


def connect(settings: RedisSettings, timeout_s: float | None = None) -> Redis:
    """A Redis client (it connects at its first command); `timeout_s` bounds every answer, for who cannot wait."""
    from redis import Redis

    password = settings.password.read() if settings.password else None
    return Redis.from_url(
        settings.url,
        password=password,
        socket_connect_timeout=timeout_s or 5,
        socket_timeout=timeout_s,
        socket_keepalive=True,
        health_check_interval=30,
    )


@contextlib.contextmanager
def reaching_redis() -> Any:
    """Turn Redis's ways to fail into `RedisUnreachable`."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise RedisUnreachable(f"Redis: {error}") from error


class Queues:
    """Enqueue tasks and ask which are still there.

    Raises
    ------
    RedisUnreachable
        From every method, when Redis does not answer.
    """

    def __init__(self, client: Redis, job_timeout_s: float) -> None:
        from rq import Queue
        from rq.serializers import JSONSerializer

        self.client = client
        self._timeout = int(job_timeout_s)
        self._queues = {name: Queue(name, connection=client, serializer=JSONSerializer) for name in QUEUES}

    def enqueue(self, task: str, queue: str, attempt: int) -> None:
        """Put a task into its queue. Twice is harmless: the worker's claim lets one through."""
        with reaching_redis():
            self._queues[queue].enqueue(
                JOB,
                args=(task,),
                job_id=job_id(task, attempt),
                job_timeout=self._timeout,
                result_ttl=0,
                failure_ttl=60,
                description=task,
            )

    def waiting(self) -> set[str]:
        """Ids of the jobs that wait in the queues.

        Not those that RQ calls started: a worker that was killed between taking a job and claiming its task leaves it
        there for an hour, while the task waits. One that is being claimed just now may be enqueued twice; the claim
        lets one through.
        """
        with reaching_redis():
            return {job for queue in self._queues.values() for job in queue.get_job_ids()}

    def depths(self) -> dict[str, int]:
        """Length of each queue."""
        with reaching_redis():
            return {name: queue.count for name, queue in self._queues.items()}


def job_id(task: str, attempt: int) -> str:
    """RQ job id of one attempt at a task (letters, digits, `_` and `-` only)."""
    return f"{task}-{attempt}"


def hint(client: Redis, arrivals: Iterable[bytes]) -> None:
    """Tell the conductor what arrived (`Arrival` documents). A hint may be lost: the ledger is the truth."""
    documents = list(arrivals)
    if documents:
        with reaching_redis():
            client.lpush(_HINTS, *documents)
            client.ltrim(_HINTS, 0, _HINTS_KEPT - 1)


def await_hint(client: Redis, timeout_s: float) -> bool:
    """Wait until something arrived; False when nothing came in time.

    All hints that are there are taken and none is read: the ledger says what arrived, and Redis is not trusted.
    """
    with reaching_redis():
        if client.blpop([_HINTS], timeout=timeout_s) is None:
            return False
        client.delete(_HINTS)
        return True
