"""The housekeeper as a process, tried hard: never blind, never a crash loop, nobody woken for what is long over."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hk_site import HkSite
from tests.unit.housekeeping.files import append

HIGH = "housekeeping:loop:t:high"
SILENT = "housekeeping:loop:*:stale"
RULE = {"warning": [0, 100], "persist": {"samples": 1}, "resolve_after_s": 0}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., HkSite]]:
    made: list[HkSite] = []

    def build(limits: dict[str, Any] | None = None, **more: Any) -> HkSite:
        source = {"kind": "csv", "dir": str(tmp_path / "site" / "hk"), "time_format": "unix_s", **more}
        made.append(HkSite(tmp_path / "site", {"loop": source}, limits))
        return made[-1]

    yield build
    for site in made:
        site.close()


def row(time_s: float, value: float) -> bytes:
    return f"{time_s:.3f},{value}\n".encode()


def test_a_sensor_that_never_speaks_is_told_by_a_daemon_that_never_lives_long(make: Callable[..., HkSite]) -> None:
    site = make({"loop": {"parameters": {"t": {"stale_s": 2}}}})
    begun: set[int] = set()
    while SILENT not in site.alerts():
        until = site.watched("loop")[1]
        site.start()
        site.wait(lambda before=until: site.watched("loop")[1] > before, "memory of the watch")  # type: ignore[misc]
        begun.add(site.watched("loop")[0])
        assert len(begun) == 1  # no life begins the watch anew
        site.stop(signal.SIGKILL)


def test_ten_years_of_history_wake_nobody_and_today_does(make: Callable[..., HkSite]) -> None:
    site = make({"loop": {"parameters": {"t": {**RULE, "stale_s": 100_000}, "u*": {"stale_s": 100_000}}}})
    now = time.time()
    for year in range(10, 0, -1):
        begin = now - year * 365 * 86_400
        rows = (f"{begin + 60 * number:.0f},{300 if number % 20 in range(5, 15) else 20},1\n" for number in range(100))
        (site.hk / f"{20 - year}.csv").write_text("time,t,u_old\n" + "".join(rows))
    append(site.hk / "99.csv", b"time,t\n" + row(now - 7200, 20.0) + row(now - 3600, 250.0))
    site.start()
    site.wait_for("loop", "t", 250.0)
    site.wait(lambda: HIGH in site.alerts(), "alert")
    alert = site.alerts()[HIGH]
    assert (alert.open, alert.episode, alert.details["value"]) == (True, 1, 250.0)
    assert set(site.alerts()) == {HIGH}  # nor is a column missed that was given up years ago
    assert len(site.lines()) == 2002
    assert "nobody is told" in site.log()


@pytest.mark.slow
def test_old_rows_that_end_out_of_limits_wait_for_new_ones(make: Callable[..., HkSite]) -> None:
    site = make({"loop": {"parameters": {"t": {**RULE, "stale_s": 100_000}}}})
    now = time.time()
    append(site.hk / "a.csv", b"time,t\n" + row(now - 10 * 86_400, 300.0))
    site.start()
    site.wait_for("loop", "t", 300.0)
    site.wait(lambda: SILENT in site.alerts(), "alert about the silence")
    assert set(site.alerts()) == {SILENT}
    site.stop(signal.SIGKILL)
    site.start()
    append(site.hk / "a.csv", row(now, 301.0))
    site.wait(lambda: HIGH in site.alerts(), "alert that was held back")
    assert site.alerts()[HIGH].open


@pytest.mark.slow
def test_a_damaged_memory_is_set_aside_and_begun_anew(make: Callable[..., HkSite]) -> None:
    site = make({"loop": {"parameters": {"t": {**RULE, "stale_s": 100_000}}}})
    append(site.hk / "a.csv", b"time,t\n" + row(time.time(), 300.0))
    site.start()
    site.wait(lambda: HIGH in site.alerts(), "alert")
    site.stop(signal.SIGKILL)
    memory = site.state / "housekeeping.sqlite"
    memory.write_bytes(b"no database at all " * 500)
    for rest in site.state.glob("housekeeping.sqlite-*"):
        rest.unlink()
    site.start()
    site.wait_for("loop", "t", 300.0)
    assert site.alerts()[HIGH].episode == 1
    append(site.hk / "a.csv", row(time.time() + 1, 50.0))
    site.wait(lambda: not site.alerts()[HIGH].open, "end of the alert")
    assert "is set aside; all files are read again" in site.log()
    assert (site.state / "housekeeping.sqlite.damaged").exists()


@pytest.mark.slow
def test_another_version_s_memory_is_left_alone_with_a_clear_word(make: Callable[..., HkSite]) -> None:
    site = make()
    site.state.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(site.state / "housekeeping.sqlite")) as db, db:
        db.execute("PRAGMA user_version = 7")
    assert site.start().wait(timeout=20) == 2  # systemd does not start it again
    site.process = None
    assert "written by another version (its number is 7, ours 1)" in site.log()


@pytest.mark.slow
def test_positions_that_nobody_can_read_are_said_and_stop_no_other(make: Callable[..., HkSite]) -> None:
    site = make(unreachable_after_s=0.2)
    append(site.hk / "a.csv", b"time,t\n" + row(time.time(), 1.0))
    site.start()
    site.wait_for("loop", "t", 1.0)
    site.stop()
    with contextlib.closing(sqlite3.connect(site.state / "housekeeping.sqlite")) as db, db:
        db.execute("UPDATE positions SET value = '{\"newer\": 1}'")
    site.start()
    away = "housekeeping:loop:-:unreachable"
    site.wait(lambda: away in site.alerts(), "alert")
    assert site.alerts()[away].open


@pytest.mark.slow
def test_alerts_of_limits_and_sources_that_are_no_more_end(make: Callable[..., HkSite]) -> None:
    site = make({"loop": {"parameters": {"t": {**RULE, "stale_s": 100_000}}}})
    append(site.hk / "a.csv", b"time,t\n" + row(time.time(), 300.0))
    site.start()
    site.wait(lambda: HIGH in site.alerts(), "alert")
    site.stop()
    shutil.move(site.root / "summit.yaml", site.root / "before.yaml")
    text = (site.root / "before.yaml").read_text()
    without = [line for line in text.splitlines() if "limits:" not in line]
    (site.root / "summit.yaml").write_text("\n".join(without).replace("    loop:", "    other:") + "\n")
    site.start()
    site.wait(lambda: not site.alerts()[HIGH].open, "end of the alert")


def test_a_source_whose_clock_is_wrong_by_years_is_told(make: Callable[..., HkSite]) -> None:
    site = make({"loop": {"parameters": {"t": {**RULE, "stale_s": False}}}}, unreachable_after_s=0.3)
    path, long_ago = site.hk / "a.csv", time.time() - 3e8
    append(path, b"time,t\n" + row(long_ago, 20.0))
    site.start()
    wrong = "housekeeping:loop:-:misdated"
    for number in range(1, 200):
        append(path, row(long_ago + number, 300.0))
        if wrong in site.alerts():
            break
        time.sleep(0.1)
    assert site.alerts()[wrong].open
    assert HIGH not in site.alerts()
    append(path, row(time.time(), 300.0))
    site.wait(lambda: not site.alerts()[wrong].open, "end of the alert")
    assert site.alerts()[HIGH].open
