"""The metrics daemon: spool → InfluxDB, in order, again and again until InfluxDB has it."""

from __future__ import annotations

import time

from services.core.daemon import Backoff, Daemon
from services.core.errors import BadSettings
from services.core.metrics.drain import Drained, Drainer
from services.core.metrics.drainage import gather, shrink
from services.core.metrics.influx import InfluxUnreachable, post_to
from services.core.metrics.spool import Spool, SpoolUnwritable
from services.core.metrics_settings import InfluxSettings
from services.core.settings import Settings

TELL_EVERY_S = 60.0


def drain_until_stopped(daemon: Daemon, settings: Settings, spool: Spool) -> None:
    """Drain the spool until the stop signal.

    Raises
    ------
    BadSettings
        `metrics.influxdb` is not configured: there is nowhere to drain to.
    """
    post = post_to(server_of(settings))
    writer = _Writer(daemon, settings, spool, Drainer(spool, post, settings.metrics.batch_points))
    daemon.ready()
    try:
        writer.run()
    finally:
        post.close()


def server_of(settings: Settings) -> InfluxSettings:
    """Where the metrics go.

    Raises
    ------
    BadSettings
        Nowhere.
    """
    if settings.metrics.influxdb is None:
        raise BadSettings(("metrics.influxdb: is missing; without it the points stay in the spool",))
    return settings.metrics.influxdb


class _Writer:
    """One loop; what it has done since it last told of itself."""

    def __init__(self, daemon: Daemon, settings: Settings, spool: Spool, drainer: Drainer) -> None:
        self._daemon = daemon
        self._poll_s = settings.metrics.poll_s
        self._spool = spool
        self._drainer = drainer
        self._backoff = Backoff(1.0, 60.0)
        self._done = Drained()
        self._busy_s = 0.0
        self._told_at = time.monotonic()

    def run(self) -> None:
        """Until the stop signal."""
        pause_s = 0.0
        while not self._daemon.wait(pause_s):
            try:
                pause_s = self._step()
                self._backoff.reset()
            except (InfluxUnreachable, SpoolUnwritable) as error:
                asked_s = error.retry_after_s if isinstance(error, InfluxUnreachable) else 0.0
                pause_s = max(self._backoff.next_s(), min(asked_s, 600.0))
                self._daemon.log.warning("points wait in the spool", reason=str(error), pause_s=round(pause_s, 1))
                self._gather()
            self._daemon.beat(self._status())

    def _step(self) -> float:
        """One batch; how long to wait for the next one, in seconds."""
        begun = time.monotonic()
        step = self._drainer.step()
        self._count(step, time.monotonic() - begun)
        if step.points:
            return 0.0
        shrink(self._spool)
        return self._poll_s

    def _status(self) -> str:
        try:
            waiting, rejected = self._spool.count()
        except SpoolUnwritable as error:
            return str(error)
        return f"{waiting} points waiting, {rejected} set aside"

    def _count(self, step: Drained, seconds: float) -> None:
        """Add up; once a minute say how it goes. An unreachable server is heard of by the next step."""
        if step.points:
            self._done += step
            self._busy_s += seconds
        if step.rejected:
            self._daemon.log.error("points set aside: see `nightferry metrics rejected`", points=step.rejected)
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._drainer.tell(self._done, self._busy_s)
            self._done, self._busy_s, self._told_at = Drained(), 0.0, time.monotonic()

    def _gather(self) -> None:
        """While nothing can be delivered, what waits is made small, for as long as no stop signal comes."""
        try:
            while not self._daemon.stop.is_set() and gather(self._spool) > 100:
                self._daemon.beat()
        except SpoolUnwritable as error:
            self._daemon.log.warning("the spool cannot be gathered", reason=str(error))
