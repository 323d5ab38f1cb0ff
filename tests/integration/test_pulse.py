"""Heartbeat files of daemons: real processes that are killed, stopped, frozen and started again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.conditions.base import Finding
from services.conditions.daemons import DaemonFacts, decide, gather, judge, lasting, measure
from services.core.condition_settings import KEPT_STARTS, DaemonConditions
from services.core.process import process_facts
from services.core.pulse import Pulse, PulseFile, read_pulse, read_pulses

LOOP = """
import sys, pathlib
from services.core.daemon import Daemon
daemon = Daemon("work", pathlib.Path(sys.argv[1]))
with daemon.running():
    daemon.beat("looking round")
    if sys.argv[2] == "error":
        daemon.ready()
        raise ValueError("no such thing")
    if sys.argv[2] != "never":
        daemon.ready()
    while not daemon.wait(0.2):
        pass
"""
SETTINGS = DaemonConditions()
Start = Callable[..., subprocess.Popen[bytes]]


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon and wait until it is as far as it gets."""
    started = []

    def begin(how: str = "ready", instance: str = "work") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", LOOP, str(tmp_path), how]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        until(lambda: (pulse := read_pulse(tmp_path / f"{instance}.json")) and pulse.pid == process.pid)
        if how == "ready":
            until(lambda: (pulse := read_pulse(tmp_path / f"{instance}.json")) and pulse.ready)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def states(run: Path, **settings: Any) -> dict[str, str]:
    return {word.instance: word.state for word in judge(gather(run), DaemonConditions(**settings))}


def test_a_killed_daemon_is_dead_until_one_takes_its_place(tmp_path: Path, start: Start) -> None:
    first, second = start(), start(instance="work-2")
    assert states(tmp_path) == {"work": "running", "work-2": "running"}
    first.kill()
    first.wait()
    assert states(tmp_path) == {"work": "dead", "work-2": "running"}
    (found,) = decide(gather(tmp_path), SETTINGS, "h", time.time(), lambda _: False)
    assert (found.alert, found.severity) == ("daemon:h:work:dead", 2) and str(first.pid) in found.message
    # when one is started again, then it takes the dead one's place, and remembers that it was not stopped
    start()
    assert states(tmp_path) == {"work": "running", "work-2": "running"}
    assert [len(pulse.starts) for pulse in read_pulses(tmp_path)] == [2, 1]
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=10) == 0
    assert states(tmp_path) == {"work": "running"}


def test_a_daemon_that_was_stopped_is_missed_only_where_it_is_expected(tmp_path: Path, start: Start) -> None:
    process = start()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=10)
    assert states(tmp_path) == {}
    assert states(tmp_path, expect=("work",)) == {"work": "missing"}
    (found,) = decide([], DaemonConditions(expect=("work",)), "h", time.time(), lambda _: False)
    assert found.alert == "daemon:h:work:missing" and "has never been started" in found.message


def test_a_frozen_daemon_hangs(tmp_path: Path, start: Start) -> None:
    process = start()
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: states(tmp_path, silent_s=0.1)["work"] == "running")  # three beats may be late
    (facts,) = gather(tmp_path)
    late = DaemonFacts(facts.pulse, facts.alive, 200.0)
    (found,) = decide([late], SETTINGS, "h", time.time(), lambda _: False)
    assert found.alert == "daemon:h:work:hung" and "'looking round'" in found.message
    os.kill(process.pid, signal.SIGCONT)


def test_the_first_start_may_take_long(tmp_path: Path, start: Start) -> None:
    start("never")
    (facts,) = gather(tmp_path)
    assert [word.state for word in judge([DaemonFacts(facts.pulse, True, 200.0)], SETTINGS)] == ["starting"]
    assert [word.state for word in judge([DaemonFacts(facts.pulse, True, 1000.0)], SETTINGS)] == ["hung"]


def test_an_error_that_ends_a_daemon_is_its_last_word(tmp_path: Path, start: Start) -> None:
    start("error").wait(timeout=10)
    until(lambda: read_pulse(tmp_path / "work.json").ended)  # type: ignore[union-attr]
    (word,) = judge(gather(tmp_path), SETTINGS)
    assert (word.state, word.status) == ("dead", "ValueError: no such thing")


def test_another_process_with_the_number_of_a_dead_one_is_none(tmp_path: Path) -> None:
    mine = process_facts(os.getpid())
    assert mine is not None and mine.rss_bytes > 1_000_000 and mine.cpu_s > 0
    other = PulseFile(
        "work", "work", os.uname().nodename, os.getpid(), Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        mine.start_ticks - 1, 1.0, 1.0, 1.0, 5.0, True, "", (1.0,),
    )  # fmt: skip
    (tmp_path / "work.json").write_text(json.dumps(vars(other)))
    assert states(tmp_path) == {"work": "dead"}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"daemon": 5}', "null", "\x00"])
def test_a_file_that_is_none_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "work.json").write_text(content)
    assert read_pulses(tmp_path) == []


def test_a_copy_of_a_file_is_no_second_daemon(tmp_path: Path) -> None:
    Pulse(tmp_path, "work").begin()
    shutil.copy(tmp_path / "work.json", tmp_path / "copy.json")
    assert [pulse.instance for pulse in read_pulses(tmp_path)] == ["work"]


def test_daemons_that_start_together_take_their_places_in_turn(tmp_path: Path) -> None:
    # given another daemon that is choosing its place
    with (tmp_path / ".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        late = threading.Thread(target=Pulse(tmp_path, "work").begin)
        late.start()
        late.join(0.2)
        # then we wait, and find it there
        assert late.is_alive()
        Pulse(tmp_path / "elsewhere", "work").begin()
        shutil.move(tmp_path / "elsewhere" / "work.json", tmp_path)
    late.join()
    assert [pulse.instance for pulse in read_pulses(tmp_path)] == ["work", "work-2"]


def test_a_daemon_that_cannot_be_kept_alive(tmp_path: Path) -> None:
    now = 1_000_000.0
    pulse = PulseFile("work", "work", "h", 1, "b", 1, now, now, 0.0, 5.0, True, "up", tuple(now - n for n in range(5)))
    facts = [DaemonFacts(pulse, True, 1.0)]
    (found,) = decide(facts, SETTINGS, "h", now, lambda _: False)
    assert found.alert == "daemon:h:work:restarts" and "5 times" in found.message
    assert decide(facts, SETTINGS, "h", now + 3600.0, lambda _: True) == []


def test_no_limit_of_starts_is_higher_than_what_is_remembered() -> None:
    now = 1_000_000.0
    starts = tuple(now - n for n in range(KEPT_STARTS))
    pulse = PulseFile("work", "work", "h", 1, "b", 1, now, now, 0.0, 5.0, True, "up", starts)
    (found,) = decide(
        [DaemonFacts(pulse, True, 1.0)], DaemonConditions(restarts_per_hour=KEPT_STARTS), "h", now, lambda _: False
    )
    assert found.alert == "daemon:h:work:restarts"
    with pytest.raises(ValidationError, match="less than or equal to 50"):
        DaemonConditions(restarts_per_hour=KEPT_STARTS + 1)


def test_a_run_directory_that_cannot_be_written_stops_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where a directory should be")
    command = [sys.executable, "-c", LOOP, str(tmp_path / "run"), "ready"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    while b"ready" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    process.stdout.close()


def test_a_daemon_that_is_started_again_within_its_time_wakes_nobody_and_one_that_keeps_dying_does() -> None:
    seen: dict[str, float] = {}
    dead = [Finding("daemon:h:watch:dead", "it is dead", 2), Finding("daemon:h:ship:missing", "it was stopped", 2)]
    assert lasting(dead, seen, 100.0, 60.0, lambda _: False) == []
    # systemd starts it again
    assert lasting([], seen, 130.0, 60.0, lambda _: False) == []
    assert lasting(dead, seen, 165.0, 60.0, lambda _: False) == []
    assert lasting(dead, seen, 226.0, 60.0, lambda _: False) == dead
    # a new notify daemon has not seen it for long, but it was told
    assert lasting(dead, {}, 300.0, 60.0, lambda alert: alert.endswith(":dead")) == dead[:1]
    loop = [Finding("daemon:h:watch:restarts", "started 7 times", 2), *dead]
    assert lasting(loop, {}, 300.0, 60.0, lambda _: False) == loop[:1]


def test_a_host_that_gets_another_name_still_knows_its_daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse(tmp_path, "watch")
    pulse.begin()
    monkeypatch.setattr("socket.gethostname", lambda: "other")
    assert read_pulses(tmp_path) == []
    pulse.beat("", ready=True)
    assert [found.host for found in read_pulses(tmp_path)] == ["other"]
    pulse.end(None)


def test_a_daemon_that_hangs_is_not_up_in_the_metrics(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path, "watch")
    pulse.begin()
    pulse.beat("", ready=True)
    (facts,) = gather(tmp_path)
    late = DaemonFacts(facts.pulse, facts.alive, 200.0)
    points = measure([facts, late], SETTINGS, "h", time.time())
    assert [point.fields["up"] for point in points] == [1, 0]
    # a clock that was set back has no daemon run for less than no time
    (before,) = measure([facts], SETTINGS, "h", facts.pulse.started_at - 3600.0)
    assert before.fields["uptime_s"] == 0.0
    pulse.end(None)
