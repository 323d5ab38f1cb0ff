"""The daemon kit: signals, a stop event, and the words systemd listens for.

A daemon is a loop that calls `beat()` at every safe point and waits on `wait()`, never on a bare sleep. SIGTERM and
SIGINT set the stop event; SIGHUP sets the reload event. `beat()` is also the watchdog's food: a loop that hangs
stops feeding it, and systemd starts the daemon again. Where a run directory is given, it writes the daemon's heartbeat
file there (`services.core.pulse`), which `nightferry status` and the conditions read.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from services.core.log import get_logger
from services.core.pulse import Pulse
from services.core.signals import listen


def sd_notify(message: str) -> bool:
    """Send a message to systemd's notify socket (sd_notify(3)); False when there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(message.encode())
        return True
    return False


class Daemon:
    """What a daemon's loop holds on to.

    Attributes
    ----------
    stop : threading.Event
        Set by SIGTERM and SIGINT: leave the loop at the next safe point.
    wake : threading.Event
        Set by whoever has news (an inotify event), so that `wait()` returns early.
    reload : threading.Event
        Set by SIGHUP: read the settings again where that is possible; whoever does so clears it.
    """

    def __init__(self, name: str, run_dir: Path | None = None) -> None:
        self.name = name
        self.stop = threading.Event()
        self.wake = threading.Event()
        self.reload = threading.Event()
        self.log = get_logger()
        watchdog_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        self._feed_every_s = watchdog_us / 1e6 / 3 if watchdog_us else 0.0
        self._fed = 0.0
        self._status = ""
        self._ready = False
        self._asked_to_stop = False
        self._pulse = Pulse(run_dir, name) if run_dir is not None else None

    def beat(self, status: str | None = None) -> None:
        """Say that the loop is alive; `status` is the line `systemctl status` shows."""
        now = time.monotonic()
        if status is not None and status != self._status:
            self._status = status
            sd_notify(f"STATUS={status}")
        if self._feed_every_s and now - self._fed >= self._feed_every_s:
            self._fed = now
            sd_notify("WATCHDOG=1")
        if self._pulse is not None:
            self._pulse.beat(self._status, ready=self._ready)

    def wait(self, seconds: float) -> bool:
        """Wait for news, the stop signal or the time; True when the daemon shall stop."""
        deadline = time.monotonic() + seconds
        while not self.stop.is_set():
            left = deadline - time.monotonic()
            if left <= 0 or self.wake.wait(min(left, 0.5 if not self._feed_every_s else min(0.5, self._feed_every_s))):
                break
            self.beat()
        self.wake.clear()
        self.beat()
        return self.stop.is_set()

    def ready(self) -> None:
        """Tell systemd and the log that the daemon is up."""
        sd_notify("READY=1")
        self._ready = True
        self.beat()
        self.log.info("ready", pid=os.getpid())

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.reload.set()
        else:
            self._asked_to_stop = True
            self.stop.set()
        self.wake.set()

    @contextlib.contextmanager
    def running(self) -> Iterator[Daemon]:
        """Signals on, and the last words on the way out."""
        # For good: a second SIGTERM must not cut short what is put in order on the way out.
        listen((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self._on_signal)
        if self._pulse is not None:
            self._pulse.begin()
        ended_by: BaseException | None = None
        try:
            yield self
        except BaseException as error:
            ended_by = error
            raise
        finally:
            sd_notify("STOPPING=1")
            if self._pulse is not None:
                # What goes wrong on the way out of a stop that was asked for is in the log, and needs nobody.
                self._pulse.end(None if self._asked_to_stop else ended_by)
            self.log.info("stopped")


class Backoff:
    """Growing pauses with jitter, the same for every daemon that waits for another part to come back.

    The pause doubles from `first_s` to `most_s` and is drawn between half and the whole of it (the 'equal jitter' of
    Brooker, 'Exponential Backoff And Jitter', 2015), so that many clients do not come back at the same instant.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0

    def next_s(self) -> float:
        """The next pause, in seconds."""
        whole = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return whole * (0.5 + 0.5 * int.from_bytes(os.urandom(2), "big") / 65535)

    def at_most(self) -> bool:
        """Whether the pauses have grown to their longest."""
        return self._first_s * 2.0**self._failures >= self._most_s

    def reset(self) -> None:
        """It worked: start from the first pause again."""
        self._failures = 0
