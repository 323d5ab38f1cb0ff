"""The daemon kit as systemd meets it: a process, a socket, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from services.core.daemon import Backoff

LOOP = """
from services.core.daemon import Daemon
from services.core.log import set_up_logging
from services.core.settings import LogSettings
set_up_logging(LogSettings(), daemon="test")
daemon = Daemon("test")
with daemon.running():
    daemon.ready()
    rounds = 0
    while not daemon.wait(30.0):
        rounds += 1
    daemon.beat("leaving")
"""

BUSY = """
import os, signal, threading, time
from services.core.daemon import Daemon
daemon = Daemon("test")

def storm():
    for _ in range(300):
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGTERM)

with daemon.running():
    threading.Thread(target=storm).start()
    while not daemon.stop.is_set():
        daemon.wake.set()
        daemon.wait(1.0)
"""


def messages(server: socket.socket, until: str, timeout_s: float = 10.0) -> list[str]:
    server.settimeout(timeout_s)
    got: list[str] = []
    while not got or until not in got[-1]:
        got.append(server.recv(4096).decode())
    return got


def test_a_daemon_says_ready_feeds_the_watchdog_and_stops_at_once(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(address))
        env = {**os.environ, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "600000"}
        process = subprocess.Popen([sys.executable, "-c", LOOP], env=env, stderr=subprocess.PIPE)
        assert "READY=1" in messages(server, "READY=1")
        fed = messages(server, "WATCHDOG=1")
        fed += messages(server, "WATCHDOG=1")  # it goes on while the loop waits
        assert sum("WATCHDOG=1" in message for message in fed) >= 2
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert messages(server, "STOPPING=1")
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - started < 5
        assert process.stderr is not None
        lines = [json.loads(text) for text in process.stderr.read().decode().splitlines()]
        process.stderr.close()
    assert [line["event"] for line in lines] == ["ready", "stopped"]
    assert all(line["daemon"] == "test" and line["timestamp"].endswith("Z") for line in lines)


def test_pauses_grow_to_their_limit_with_jitter() -> None:
    backoff = Backoff(1.0, 60.0)
    pauses = [backoff.next_s() for _ in range(50)]
    for number, pause in enumerate(pauses):
        whole = min(60.0, 2.0**number)
        assert whole / 2 <= pause <= whole
    assert len(set(pauses[10:])) > 10
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_a_signal_that_comes_while_the_loop_holds_the_event_does_not_hang_the_daemon() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
