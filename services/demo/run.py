"""The demo: a night through every real part on loopback, watched, accounted for, reported."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from services.core.errors import BadSettings
from services.core.ledger.engine import Ledger, open_ledger
from services.core.settings import load_settings
from services.demo.account import Account, Counts, count, settle_account
from services.demo.camera import PATTERNS, Camera, night_options, real_frames
from services.demo.layout import Layout, write_settings
from services.demo.mailbox import mail_is_possible, mailbox
from services.demo.options import DemoOptions
from services.demo.progress import Progress
from services.demo.servers import private_redis, remote
from services.demo.supervisor import STOP_S, Supervisor
from services.demo.watchmen import (
    LIMITS,
    AlertNews,
    alerts_section,
    fault_is_over,
    housekeep_section,
    rows_taken,
    rows_written,
    settle_told,
)

_LAST_WORDS_S = 20.0  # for the last message and the last metrics, when the frames are through


def play(options: DemoOptions, say: Callable[[str], None]) -> Account:
    """Play the night and settle the account.

    Raises
    ------
    BadSettings
        The root is in use for something else, or there is no frame in `data`.
    OSError
        A server or a daemon does not stay up.
    """
    layout = _fresh(options.root)
    frames = real_frames(options.data) if options.data is not None else []
    if options.data is not None and not frames:
        raise BadSettings((f"{options.data}: no frames found; expected files like {', '.join(PATTERNS)}",))
    with contextlib.ExitStack() as stack:
        redis_url = options.redis_url or stack.enter_context(private_redis(layout, say))
        link = stack.enter_context(remote(layout, say))
        mailed = mail_is_possible()
        both, daemons = _sections(options, layout, stack, mailed, say)
        housekeeping = options.data is None  # real frames come without
        summit_only = {"housekeep": housekeep_section(layout)} if housekeeping else {}
        layout.limits.write_text(yaml.safe_dump(LIMITS, sort_keys=False), encoding="utf-8")
        stars = _catalogue(options, layout) if options.data is None else None
        write_settings(layout, remote=link, redis_url=redis_url, summit=summit_only, catalogue=stars, extra=both)
        summit = open_ledger(load_settings(layout.telescope_config).ledger)
        stack.callback(summit.close)
        centre = open_ledger(load_settings(layout.centre_config).ledger)
        stack.callback(centre.close)
        supervisor = Supervisor(layout, options.workers, tuple(summit_only), daemons)
        stack.callback(supervisor.stop)
        supervisor.start()
        night = _Night(options, layout, summit, centre, supervisor, housekeeping, mailed)
        night.watch(Camera(options, layout, frames, threading.Event()), say)
        late = supervisor.stop()
        account = settle_account(layout, summit, centre, PATTERNS)
        told = settle_told(layout, summit, centre)
    faults = [*account.faults, *(told.faults(mailed) if housekeeping else ())]
    if options.influx is not None and told.points_waiting:
        faults.append(f"{told.points_waiting} points of the metrics did not get into InfluxDB")
    if late:
        faults.append(f"did not stop within {STOP_S:.0f} s: {', '.join(late)}")
    return dataclasses.replace(account, told=told, faults=tuple(faults))


def _catalogue(options: DemoOptions, layout: Layout) -> dict[str, Any]:
    from services.demo.catalogue import write_catalogue

    return write_catalogue(night_options(options), layout.root / "catalogue.csv")


def _sections(
    options: DemoOptions, layout: Layout, stack: contextlib.ExitStack, mailed: bool, say: Callable[[str], None]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What both hosts' settings have besides, and the daemons that go with it."""
    sections: dict[str, Any] = {}
    daemons: list[str] = []
    if mailed:
        url_file = layout.root / "smtp.url"
        url_file.touch(mode=0o600)
        url_file.write_text(stack.enter_context(mailbox(layout.mail)), encoding="utf-8")
        sections |= {"alerts": alerts_section(url_file), "conditions": {"poll_s": 2.0}}
        daemons.append("notify")
        say(f"mail: an SMTP server on loopback; messages in {layout.mail}")
    else:
        say("mail: none (apprise or aiosmtpd is not installed); alerts stay in the ledger")
    if options.influx is not None:
        parts = urlsplit(options.influx)
        server = {"version": 1, "url": f"{parts.scheme}://{parts.netloc}", "database": parts.path.strip("/")}
        sections["metrics"] = {"influxdb": server, "poll_s": 0.5}
        daemons.append("metrics")
        say(f"metrics: drained into {options.influx}")
    return sections, tuple(daemons)


def _fresh(root: Path) -> Layout:
    """An empty place for the demo; only a place that a demo made is emptied."""
    mark = root / ".nightferry-demo"
    if root.exists() and any(root.iterdir()) and not mark.exists():
        raise BadSettings((f"{root}: is not empty and was not made by a demo; choose another --root",))
    shutil.rmtree(root, ignore_errors=True)
    layout = Layout(root)
    layout.make()
    mark.touch()
    return layout


class _Night:
    """The night while it is played: the camera writes, the daemons are tended, progress is shown."""

    def __init__(
        self,
        options: DemoOptions,
        layout: Layout,
        summit: Ledger,
        centre: Ledger,
        supervisor: Supervisor,
        housekeeping: bool,
        mailed: bool,
    ) -> None:
        self._options = options
        self._layout = layout
        self._summit = summit
        self._centre = centre
        self._supervisor = supervisor
        self._housekeeping = housekeeping
        self._mailed = mailed
        self._news = AlertNews({"summit": summit, "centre": centre})

    def watch(self, camera: Camera, say: Callable[[str], None]) -> None:
        """Until nothing is left to happen, or time is up."""
        camera.thread.start()
        victims = [unit.name for unit in self._supervisor.units] if self._options.chaos else []
        started, through_at = time.monotonic(), float("inf")
        patience_s = self._options.patience_s(camera.expected)
        try:
            with Progress(camera.expected, say) as progress:
                while True:
                    counts = self._look(progress)
                    now = time.monotonic()
                    if camera.finished and counts.settled(camera.expected):
                        through_at = min(through_at, now)
                        if self._all_told() or now - through_at > _LAST_WORDS_S:
                            return
                    if camera.error is not None:
                        raise OSError(f"the camera failed: {camera.error}") from camera.error
                    if now - started > patience_s:
                        progress.note(f"gave up after {patience_s:.0f} s")
                        return
                    if victims and _due(counts, camera.expected, len(victims), len(self._supervisor.units)):
                        progress.note(f"SIGKILL to {victims[0]}")
                        self._supervisor.kill(victims.pop(0))
                    time.sleep(0.2)
        finally:
            camera.stop.set()
            camera.thread.join(timeout=10)

    def _look(self, progress: Progress) -> Counts:
        for death in self._supervisor.tend():
            progress.note(f"{death} died and was started again")
        for line in self._news.read():
            progress.note(line)
        counts = count(self._layout, self._summit, self._centre, PATTERNS)
        progress.show(counts)
        return counts

    def _all_told(self) -> bool:
        """Whether housekeeping is read, the fault told and over, and the metrics are where they belong."""
        if self._options.influx is not None and settle_told(self._layout, self._summit, self._centre).points_waiting:
            return False
        if not self._housekeeping:
            return True
        with self._summit.read() as conn:
            over = fault_is_over(conn, self._mailed)
        return over and rows_taken(self._layout) == rows_written(self._layout)


def _due(counts: Counts, expected: int, left: int, victims: int) -> bool:
    """Spread the kills over the night: one after each equal share of frames that have arrived."""
    return counts.arrived >= expected * (victims - left + 0.5) / (victims + 1)
