"""The metrics daemon: spool → InfluxDB, in order, again and again until InfluxDB has it."""

from __future__ import annotations

from services.core.daemon import Backoff, Daemon
from services.core.errors import BadSettings
from services.core.metrics.influx import InfluxUnreachable, InfluxWriter
from services.core.metrics.spool import Spool
from services.core.settings import Settings


def drain_until_stopped(daemon: Daemon, settings: Settings, spool: Spool) -> None:
    """Drain the spool until the stop signal.

    Raises
    ------
    BadSettings
        `metrics.influxdb` is not configured: there is nowhere to drain to.
    """
    if settings.metrics.influxdb is None:
        raise BadSettings(("metrics.influxdb: is missing; without it the points stay in the spool",))
    writer = InfluxWriter(settings.metrics.influxdb, settings.metrics.batch_points)
    backoff = Backoff(1.0, 60.0)
    daemon.ready()
    pause_s = 0.0
    try:
        while not daemon.wait(pause_s):
            try:
                drained = writer.drain(spool)
                backoff.reset()
                pause_s = 0.0 if drained else settings.metrics.poll_s
            except InfluxUnreachable as error:
                pause_s = backoff.next_s()
                daemon.log.warning("points wait in the spool", reason=str(error), pause_s=round(pause_s, 1))
            waiting, rejected = spool.count()
            daemon.beat(f"{waiting} points waiting, {rejected} set aside")
    finally:
        writer.close()
