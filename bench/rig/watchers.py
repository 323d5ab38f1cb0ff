"""Watchers that a benchmark listens to: ours, or watchdog alone, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent.parent


class Listener:
    """A watcher in a process of its own, that tells when it decided about which file."""

    def __init__(self, role: str, camera: Path, state: Path) -> None:
        command = [sys.executable, "-m", "bench.rig.watchers", role, str(camera), str(state)]
        self.started = time.monotonic()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )
        self.ready_s = self._read()["ready"] - self.started

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the listener ended with exit code {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._read()

    def count(self) -> int:
        """How many files it has decided about."""
        return int(self._ask("count")["count"])

    def peak_mb(self) -> float:
        """Peak of its resident memory so far."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024

    def end(self) -> dict[str, float]:
        """When (monotonic clock, seconds) it first decided about each file; the process ends."""
        times: dict[str, float] = self._ask("end")["times"]
        self._process.wait(timeout=20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return times


def serve(times: dict[str, float], stop: Callable[[], object]) -> None:
    """The listener's side of the conversation."""
    for line in sys.stdin:
        if line == "count\n":
            print(json.dumps({"count": len(times)}), flush=True)
        else:
            print(json.dumps({"times": dict(times)}), flush=True)
            break
    stop()


def ours(camera: Path, state: Path) -> None:
    """The watcher as `nightferry watch` runs it, with a clock at its decisions."""
    from services.core.daemon import Daemon
    from services.core.ledger.engine import open_ledger
    from services.core.log import set_up_logging
    from services.core.metrics.spool import Spool
    from services.watcher.daemon import Watcher
    from services.watcher.settle import Candidate

    settings = load(camera, state)
    with (state / "watch.log").open("a") as log:
        set_up_logging(settings.log, log)
        daemon, ledger = Daemon("watch"), open_ledger(settings.ledger)
        times: dict[str, float] = {}

        class Timed(Watcher):
            def decide(self, candidate: Candidate) -> bool:
                verdict = super().decide(candidate)
                times.setdefault(candidate.path, time.monotonic())
                return verdict

            def rescan(self) -> None:
                super().rescan()
                if self.rescan_is_first:
                    self.rescan_is_first = False
                    print(json.dumps({"ready": time.monotonic()}), flush=True)

            rescan_is_first = True

        def stop() -> None:
            daemon.stop.set()
            daemon.wake.set()

        threading.Thread(target=serve, args=(times, stop), daemon=True).start()
        spool = Spool(settings.metrics_spool, settings.site)
        Timed(daemon, settings, ledger, spool, state / "summit.yaml").run()
        spool.close()
        ledger.close()


def load(camera: Path, state: Path) -> Any:
    """Settings with one local route."""
    from services.core.settings import load_settings

    state.mkdir(parents=True, exist_ok=True)
    path = state / "summit.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "site": "bench",
                "state_dir": str(state),
                "ledger": {"url": f"sqlite:///{state}/ledger.sqlite"},
                "watch": {"dirs": [str(camera)]},
                "routes": {"centre": {"url": f"file://{state}/centre"}},
            }
        )
    )
    return load_settings(path)


def theirs(camera: Path, open_it: bool, snapshot: bool) -> None:
    """watchdog alone: its observer, a callback that opens the file with fitsio, or one snapshot of the tree."""
    import fitsio
    from watchdog.events import FileClosedEvent, FileSystemEventHandler
    from watchdog.observers import Observer
    from watchdog.utils.dirsnapshot import DirectorySnapshot

    times: dict[str, float] = {}

    class Handler(FileSystemEventHandler):
        def on_closed(self, event: FileClosedEvent) -> None:
            path = os.fsdecode(event.src_path)
            if open_it:
                with fitsio.FITS(path) as file:
                    len(file)
            times.setdefault(path, time.monotonic())

    observer = Observer()
    observer.schedule(Handler(), str(camera), recursive=True)
    observer.start()
    held = DirectorySnapshot(str(camera)) if snapshot else None
    print(json.dumps({"ready": time.monotonic()}), flush=True)
    serve(times, observer.stop)
    observer.join()
    del held


def main() -> None:
    """Be the listener of this role: `ours`, `plain` (a callback only), `fitsio` (it opens the file), `snapshot`."""
    role, camera, state = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if role == "ours":
        ours(camera, state)
    else:
        theirs(camera, role == "fitsio", role == "snapshot")


if __name__ == "__main__":
    main()
