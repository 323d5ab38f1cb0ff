"""The housekeeper as a process: killed at every step, its sources away and back, its limits changed."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.cli.housekeep import housekeep
from services.core.errors import BadSettings
from tests.hk_site import HkSite
from tests.unit.housekeeping.files import append

T0 = int(time.time()) - 3000
ONCE = {"samples": 1}
LIMITS = {
    "loop": {
        "parameters": {
            "t": {"unit": "K", "warning": [0, 100], "error": [-10, 200], "persist": ONCE, "resolve_after_s": 1,
                  "stale_s": 100_000},
        },
    },
}  # fmt: skip
LOW = "housekeeping:loop:t:high"

STEPS = {
    "read, nothing kept": "services.housekeeping.keeping:Keeper.write_points:before:2",
    "points in the spool": "services.housekeeping.keeping:Keeper.write_points:after:2",
    "alerts in the ledger": "services.housekeeping.keeping:Keeper.write_alerts:after:2",
    "in the middle of the transaction": "services.housekeeping.history:History.add:before:2",
    "positions stored, nobody told": "services.housekeeping.keeping:Keeper.store_positions:after:2",
}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., HkSite]]:
    made: list[HkSite] = []

    def build(sources: dict[str, Any], limits: dict[str, Any] | None = None) -> HkSite:
        made.append(HkSite(tmp_path / "site", sources, limits))
        return made[-1]

    yield build
    for site in made:
        site.close()


def csv_source(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "csv", "dir": str(tmp_path / "site" / "hk"), "time_format": "unix_s", **more}


def row(second: int, value: float) -> bytes:
    return f"{T0 + second},{value}\n".encode()


QUICK = ("alerts in the ledger",)


@pytest.mark.parametrize(
    "step", [step if step in QUICK else pytest.param(step, marks=pytest.mark.slow) for step in STEPS]
)
def test_killed_at(step: str, make: Callable[..., HkSite], tmp_path: Path) -> None:
    site = make({"loop": csv_source(tmp_path)}, LIMITS)
    file = site.hk / "a.csv"
    append(file, b"time,t\n" + row(0, 20.0))
    victim = site.start(crash_at=STEPS[step])
    site.wait_for("loop", "t", 20.0)
    tail = b"".join(row(second, 300.0 if 5 <= second < 8 else 20.0 + second) for second in range(1, 20))
    append(file, tail[:100])  # with half a row, and an alert that begins and ends in what is read at once
    append(file, tail[100:-7])
    assert victim.wait(timeout=20) == -signal.SIGKILL, site.log()
    append(file, tail[-7:])
    site.start()
    site.wait_for("loop", "t", 39.0)
    with contextlib.closing(site.store()) as store:
        times, values = store.trend("loop", "t", 3600)
    assert len(times) == len(set(times.tolist())) == 20
    assert values.tolist().count(300.0) == 3
    assert len(site.lines()) == 20  # a line that stands there twice overwrites itself
    alert = site.alerts()[LOW]
    assert (alert.open, alert.episode) == (False, 1)
    assert alert.details["value"] == 29.0 and alert.details["unit"] == "K" and "is back inside" in alert.message
    assert alert.details["trend"][-1][1] in (38.0, 39.0) and len(alert.details["trend"]) <= 20
    assert site.stop() == 0


def test_a_source_that_is_away_is_an_alert_and_stops_no_other(make: Callable[..., HkSite], tmp_path: Path) -> None:
    away = tmp_path / "nfs"
    sources = {
        "loop": csv_source(tmp_path),
        "far": {"kind": "csv", "dir": str(away), "time_format": "unix_s", "unreachable_after_s": 0.3},
    }
    site = make(sources)
    append(site.hk / "a.csv", b"time,t\n" + row(0, 1.0))
    site.start()
    alert = "housekeeping:far:-:unreachable"
    site.wait(lambda: alert in site.alerts(), "alert")
    assert site.alerts()[alert].severity == 1 and "No such file" in site.alerts()[alert].message
    append(site.hk / "a.csv", row(1, 2.0))
    site.wait_for("loop", "t", 2.0)
    assert site.stop() == 0
    site.start()  # it does not forget that it told
    away.mkdir()
    append(away / "b.csv", b"time,u\n" + row(0, 3.0))
    site.wait_for("far", "u", 3.0)
    site.wait(lambda: not site.alerts()[alert].open, "end of the alert")
    assert site.alerts()[alert].episode == 1


def test_limits_are_read_again_and_bad_ones_change_nothing(make: Callable[..., HkSite], tmp_path: Path) -> None:
    site = make({"loop": csv_source(tmp_path)}, LIMITS)
    append(site.hk / "a.csv", b"time,t\n" + row(0, 150.0))
    process = site.start()
    site.wait(lambda: LOW in site.alerts(), "alert")
    site.write_limits("sources: {loop: {parameters: {t: {warnin: [0, 1]}}}}")
    process.send_signal(signal.SIGHUP)
    site.wait(lambda: "the limits file is bad" in site.log(), "complaint")
    append(site.hk / "a.csv", row(1, 250.0))
    site.wait(lambda: site.alerts()[LOW].severity == 2, "the old limits at work")
    wider = {"loop": {"parameters": {"t": {"unit": "K", "error": [0, 1000], "resolve_after_s": 0}}}}
    site.write_limits(wider)
    process.send_signal(signal.SIGHUP)
    site.wait(lambda: "limits read again" in site.log(), "new limits")
    append(site.hk / "a.csv", row(2, 250.0) + row(10, 251.0))
    site.wait(lambda: not site.alerts()[LOW].open, "end of the alert")
    bands = [text for text in site.lines("housekeeping_limit") if "source=loop" in text]
    assert any("error_high=200.0" in text for text in bands)
    site.wait(lambda: any("error_high=1000.0" in text for text in site.lines("housekeeping_limit")), "new bands")
    assert site.last()[("loop", "t")].limits is not None


def test_bad_limits_at_the_start_are_one_clear_line(make: Callable[..., HkSite], tmp_path: Path) -> None:
    site = make({"loop": csv_source(tmp_path)}, LIMITS)
    site.write_limits("sources: {loop: {parameters: {t: {warnin: [0, 1]}}}}")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    done = CliRunner().invoke(housekeep, ["-c", str(site.root / "summit.yaml")], standalone_mode=False)
    for number, handler in before.items():
        signal.signal(number, handler)
    assert isinstance(done.exception, BadSettings)
    assert "limits.yaml:1: sources.loop.parameters.t.warnin: unknown key" in str(done.exception)


def test_rows_that_nobody_can_use_are_counted_and_kept_and_said_once(
    make: Callable[..., HkSite], tmp_path: Path
) -> None:
    site = make({"loop": csv_source(tmp_path)})
    garbage = b"".join(b"%d,1,2,3\n" % (T0 + number) for number in range(500))
    append(site.hk / "a.csv", b"time,t\n" + row(0, 1.0) + garbage + row(600, 2.0))
    site.start()
    site.wait_for("loop", "t", 2.0)
    site.stop()
    assert site.log().count("a row is set aside") == 1
    with contextlib.closing(site.store()) as store:
        assert len(store.set_aside(1000)) == 200
    points = "".join(site.lines("housekeeper"))
    assert "bad_rows=500i" in points and "rows=2i" in points
