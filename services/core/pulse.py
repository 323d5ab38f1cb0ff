"""The heartbeat file of a daemon: STATE_DIR/run/NAME.json, NAME-2.json for a second one of its kind, and so on.

A daemon that is stopped takes its file away. One that died leaves it behind, and so does one that hangs: whoever reads
the directory sees both. A daemon that is started again takes the place of a dead one of its kind.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from services.core.condition_settings import KEPT_STARTS
from services.core.log import get_logger
from services.core.process import boot_id, process_facts

EVERY_S: Final = 5.0
_HOUR_S: Final = 3600.0


@dataclass(frozen=True)
class PulseFile:
    """What a daemon says of itself. Times are seconds since 1970 UTC; `beat_mono` is the host's monotonic clock.

    `instance` is the file's name, `starts` when it was started within the last hour, without having been stopped in
    between. `ended` is the error that ended it.
    """

    daemon: str
    instance: str
    host: str
    pid: int
    boot: str
    start_ticks: int
    started_at: float
    beat_at: float
    beat_mono: float
    every_s: float
    ready: bool
    status: str
    starts: tuple[float, ...]
    ended: str | None = None


def read_pulse(path: Path) -> PulseFile | None:
    """A heartbeat file; None when it is gone, or is none (a full disk, another program's)."""
    try:
        found = json.loads(path.read_bytes())
        values: dict[str, Any] = {field.name: found[field.name] for field in fields(PulseFile)}
        starts = tuple(float(each) for each in values["starts"])
        pulse = PulseFile(**{**values, "starts": starts})
        numbers = (pulse.pid, pulse.start_ticks, pulse.started_at, pulse.beat_at, pulse.beat_mono, pulse.every_s)
        words = (pulse.daemon, pulse.instance, pulse.host, pulse.boot, pulse.status)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    sound = all(isinstance(each, int | float) for each in numbers) and all(isinstance(each, str) for each in words)
    return pulse if sound and pulse.instance == path.stem else None


def read_pulses(run_dir: Path) -> list[PulseFile]:
    """Every daemon of this host that is running, hangs, or has died."""
    host = socket.gethostname()
    found = [read_pulse(path) for path in sorted(run_dir.glob("*.json"), key=lambda path: path.stem)]
    return [pulse for pulse in found if pulse is not None and pulse.host == host]


def is_alive(pulse: PulseFile, boot: str) -> bool:
    """Whether the very process that wrote a file is there; another one with its number is none."""
    if pulse.ended is not None or pulse.boot != boot:
        return False
    facts = process_facts(pulse.pid)
    return facts is not None and facts.start_ticks == pulse.start_ticks


class Pulse:
    """One daemon's file. A file that cannot be written stops no daemon: the disk's own condition tells of it."""

    def __init__(self, run_dir: Path, daemon: str) -> None:
        self._dir = run_dir
        self._daemon = daemon
        self._lock = threading.Lock()
        self._written = float("-inf")
        self._now: PulseFile | None = None

    @property
    def _path(self) -> Path:
        assert self._now is not None
        return self._dir / f"{self._now.instance}.json"

    def begin(self) -> None:
        """Take the first place that no living daemon of this kind has."""
        now, facts = time.time(), process_facts(os.getpid())
        with suppress(OSError), _turn(self._dir):
            boot, number = boot_id(), 1
            while (before := read_pulse(self._place(number))) is not None and is_alive(before, boot):
                number += 1
            earlier = () if before is None else before.starts
            self._now = PulseFile(
                daemon=self._daemon,
                instance=self._place(number).stem,
                host=socket.gethostname(),
                pid=os.getpid(),
                boot=boot,
                start_ticks=0 if facts is None else facts.start_ticks,
                started_at=now,
                beat_at=now,
                beat_mono=time.monotonic(),
                every_s=EVERY_S,
                ready=False,
                status="starting",
                starts=(*(each for each in earlier if now - _HOUR_S < each <= now), now)[-KEPT_STARTS:],
            )
            self._write()

    def beat(self, status: str, *, ready: bool) -> None:
        """The daemon is alive; written at most every `EVERY_S`, and when it becomes ready."""
        here = self._now
        due = time.monotonic() - self._written >= EVERY_S
        if here is None or not (due or ready != here.ready) or here.pid != os.getpid():  # a child is no daemon
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            words = status or ("" if ready else here.status)
            now, mono, host = time.time(), time.monotonic(), socket.gethostname()  # a host may get another name
            self._now = replace(here, host=host, beat_at=now, beat_mono=mono, status=words, ready=ready)
            self._write()
        finally:
            self._lock.release()

    def end(self, error: BaseException | None) -> None:
        """The daemon was stopped (its file goes), or ended by an error (its file stays, and says so).

        One too many, which found its place taken and never was ready, leaves nothing behind.
        """
        here = self._now
        if here is None or here.pid != os.getpid():
            return
        superfluous = not here.ready and here.instance != here.daemon
        if error is None or superfluous:
            with suppress(OSError):
                self._path.unlink()
            return
        reason = " ".join(str(error).split())[:500]
        self._now = replace(here, beat_at=time.time(), ended=f"{type(error).__name__}: {reason}")
        self._write()

    def _place(self, number: int) -> Path:
        return self._dir / (f"{self._daemon}.json" if number == 1 else f"{self._daemon}-{number}.json")

    def _write(self) -> None:
        assert self._now is not None
        self._written = time.monotonic()
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(asdict(self._now)), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            get_logger().warning("no heartbeat file", path=str(self._path), reason=str(error))


@contextmanager
def _turn(run_dir: Path) -> Iterator[None]:
    """Daemons that start at the same moment choose their places one after the other."""
    run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
