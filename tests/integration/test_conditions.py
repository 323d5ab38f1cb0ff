"""The sweep over a real ledger: alerts are raised once, resolved when it is over, and a failing look stops no other."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from services.cli.status import status
from services.conditions.base import Eye, Finding, Report
from services.conditions.queues import QueueFacts, read_queues
from services.conditions.registry import LOOKS
from services.conditions.sequences import gather
from services.conditions.sweep import Sweeper
from services.conditions.transfer import camera
from services.core.condition_settings import DaemonConditions, NoFrameCondition
from services.core.ledger.alert_schema import alerts, heartbeats, mutes
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import Ledger
from services.core.ledger.engine import now as clock
from services.core.ledger.schema import events, files, frames, qa, tasks
from services.core.metrics.drainage import waiting_lines
from services.core.metrics.spool import Spool
from services.core.pulse import read_pulse
from services.core.settings import Settings, load_settings
from tests.fixtures.disk import small_disk_at
from tests.site import Site

HOST = socket.gethostname()
NOW = 1_780_000_000.0
QUIET = {"disks": None, "clock": None}  # what this host is really like is no part of these tests


def centre(root: Path, ledger_url: str, **conditions: Any) -> Settings:
    return Settings.model_validate(
        {
            "site": "centre",
            "state_dir": root / "state",
            "archive_dir": root / "archive",
            "ledger": {"url": ledger_url},
            "redis": {"url": "redis://127.0.0.1:1/0"},
            "conduct": {},
            "work": {"products_dir": root / "products", "log_dir": root / "logs"},
            "conditions": {**QUIET, **conditions},
        }
    )


def summit(root: Path, **conditions: Any) -> Settings:
    return Settings.model_validate(
        {
            "site": "summit",
            "state_dir": root / "state",
            "ledger": {"url": f"sqlite:///{root}/ledger.sqlite"},
            "watch": {"dirs": [root]},
            "routes": {"centre": {"url": "file:///nowhere"}},
            "conditions": {**QUIET, **conditions},
        }
    )


def open_now(ledger: Ledger) -> dict[str, str]:
    with ledger.read() as conn:
        return {row.alert: row.message for row in conn.execute(select(alerts).where(alerts.c.open))}


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """Every time that an alert was raised or resolved."""
    with ledger.read() as conn:
        query = select(events).where(events.c.subject == "alert").order_by(events.c.id)
        return [(row.name, row.to_state) for row in conn.execute(query)]


def url(ledger: Ledger) -> str:
    return (
        ledger.engine.url.render_as_string(hide_password=False)
        .replace("+psycopg", "")
        .replace("sqlite://", "sqlite:/", 0)
    )


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "metrics.sqlite", "test")
    yield made
    made.close()


def points(spool: Spool) -> list[str]:
    return waiting_lines(spool, 10_000)


def add_frame(ledger: Ledger, name: str, created_at: float, state: str = "checked", **identity: Any) -> None:
    what = {
        "instrument": "simcam", "night": "20260115", "expid": 1, "detectors": ["1"], "obstype": "science",
        "exptime_s": 10.0, "filter": "g", "object": "", "date_obs": "", "sequence": None, "mode": "imaging",
        "readout": "", "expected_detectors": 1, **identity,
    }  # fmt: skip
    row = {
        "sha256": name, "name": name, "path": f"/data/{name}", "size": 1000, "mtime": 1.0, "state": state,
        "identity": what, "created_at": created_at, "updated_at": created_at,
        **{key: what[key] for key in ("instrument", "night", "expid", "obstype")},
    }  # fmt: skip
    with ledger.begin() as conn:
        conn.execute(insert(frames).values(**row))


def add_task(ledger: Ledger, task: str, state: str, updated_at: float, kind: str = "check", **more: Any) -> None:
    row = {
        "task": task, "production": "live", "kind": kind, "queue": "checks", "night": "20260115", "state": state,
        "parameters": {}, "attempts": 1, "not_before": 0.0, "created_at": updated_at, "updated_at": updated_at, **more,
    }  # fmt: skip
    with ledger.begin() as conn:
        conn.execute(insert(tasks).values(**row))


def add_verdict(ledger: Ledger, task: str, sha256: str, verdict: str, at: float) -> None:
    row = {
        "task": task, "sha256": sha256, "check": "seeing", "detector": "1", "amplifier": "", "value": 3.1,
        "unit": "arcsec", "verdict": verdict, "flag": "SEEING_OOL", "message": "3.1 arcsec is above 2",
    }  # fmt: skip
    with ledger.begin() as conn:
        conn.execute(insert(qa).values(**row))
        conn.execute(insert(events).values(at=at, subject="task", name=task, to_state="done"))


def test_checks_queues_and_sequences_on_both_databases(ledger: Ledger, spool: Spool, tmp_path: Path) -> None:
    # given three bad exposures in a row, half of a sequence, a failed task, and one that waits
    settings = centre(tmp_path, url(ledger))
    for number in range(1, 4):
        sequence = {"id": "dither", "num": number, "total": 6}
        add_frame(ledger, f"f{number}", NOW - 4000.0 + number, expid=number, sequence=sequence)
        add_task(ledger, f"live-check-f{number}", "done", NOW - 3000.0)
        add_verdict(ledger, f"live-check-f{number}", f"f{number}", "error", NOW)
    add_task(ledger, "live-reduce-f1", "failed", NOW - 100.0, "reduce", reason="no bias")
    add_task(ledger, "live-check-f9", "queued", NOW - 5000.0)
    sweeper = Sweeper(settings, ledger, spool)
    # when it is swept again and again
    for step in range(4):
        sweeper.sweep(NOW + 30.0 * step)
    # then every condition is one alert, raised once
    found = open_now(ledger)
    assert set(found) == {
        "check:simcam:seeing", "queue:redis", "queue:checks:oldest", "sequence:simcam:20260115:dither", "task:failed",
    }  # fmt: skip
    assert sorted(told(ledger)) == sorted((name, "raised") for name in found)
    assert "number 4, 5, 6" in found["sequence:simcam:20260115:dither"]
    assert "live-reduce-f1: no bias" in found["task:failed"]
    assert any(line.startswith("queue_age,queue=checks,site=test depth=1i,oldest_s=5000.0") for line in points(spool))
    # when the seeing is good again, the rest of the sequence comes, and the tasks are done
    for number in range(4, 7):
        sequence = {"id": "dither", "num": number, "total": 6}
        add_frame(ledger, f"f{number}", NOW + 200.0, expid=number, sequence=sequence)
        add_task(ledger, f"live-check-f{number}", "done", NOW + 200.0)
        add_verdict(ledger, f"live-check-f{number}", f"f{number}", "ok", NOW + 200.0)
    add_frame(ledger, "f7", NOW + 200.0, expid=7)
    with ledger.begin() as conn:
        conn.execute(tasks.update().where(tasks.c.state.in_(("failed", "queued"))).values(state="done"))
        conn.execute(insert(events).values(at=NOW, subject="task", name="x", to_state="done"))
    sweeper.sweep(NOW + 210.0)
    # then they are over; the sequence is complete now, and half of it bad
    assert set(open_now(ledger)) == {"queue:redis", "sequence:simcam:20260115:dither"}
    assert "3 of its 6 exposures are bad" in open_now(ledger)["sequence:simcam:20260115:dither"]


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_checks_of_frames_count_until_their_night_is_over(ledger: Ledger, spool: Spool, tmp_path: Path) -> None:
    # given exposures of which the checks are good, and masters made of them of which they are bad
    for number in range(1, 4):
        add_frame(ledger, f"f{number}", NOW - 10.0 + number, expid=number)
        add_task(ledger, f"live-check-f{number}", "done", NOW)
        add_task(ledger, f"live-master-f{number}", "done", NOW, "master")
        add_verdict(ledger, f"live-check-f{number}", f"f{number}", "ok", NOW)
        add_verdict(ledger, f"live-master-f{number}", f"f{number}", "error", NOW)
    sweeper = Sweeper(centre(tmp_path, url(ledger), queues=None, checks={"night_s": 3600.0}), ledger, spool)
    # then nothing is wrong with the frames
    sweeper.sweep(NOW)
    assert open_now(ledger) == {}
    # when the frames are bad too
    for number in range(1, 4):
        add_task(ledger, f"live-check-again-f{number}", "done", NOW)
        add_verdict(ledger, f"live-check-again-f{number}", f"f{number}", "error", NOW)
    for step in range(1, 4):
        sweeper.sweep(NOW + 30.0 * step)
    assert set(open_now(ledger)) == {"check:simcam:seeing"}
    # then they are until the night is over, though nothing moves in the ledger any more
    sweeper.sweep(NOW + 3600.0)
    assert open_now(ledger) == {}


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_a_frame_in_quarantine_is_missing_from_its_sequence(ledger: Ledger) -> None:
    for number, state in enumerate(("arrived", "checked", "reduced", "quarantined"), 1):
        sequence = {"id": "dither", "num": number, "total": 4}
        add_frame(ledger, f"f{number}", NOW, state, expid=number, sequence=sequence)
    with ledger.read() as conn:
        (facts,) = gather(conn, "live", 86_400.0, NOW)
    assert facts.missing == [4]


def test_the_camera_may_be_silent_for_as_long_as_it_exposes(ledger: Ledger) -> None:
    add_frame(ledger, "f1", NOW - 50.0)
    add_frame(ledger, "f2", NOW - 20.0, exptime_s=900.0, sequence={"id": "dither", "num": 2, "total": 6})
    with ledger.read() as conn:
        seen = camera(conn, NoFrameCondition(), NOW)
    assert (seen.newest_at, seen.exptime_s, seen.sequence) == (NOW - 20.0, 900.0, "dither (2 of 6)")


def test_what_waits_and_what_runs_are_counted_apart(ledger: Ledger) -> None:
    for number, state in enumerate(("ready", "queued", "running", "done", "failed")):
        add_task(ledger, f"live-check-{state}", state, NOW - 100.0 + number, reason="no bias")
    add_task(ledger, "other-check", "running", NOW, production="other")
    add_task(ledger, "live-check-later", "ready", NOW, not_before=NOW + 60.0)
    with ledger.read() as conn:
        found = read_queues(conn, "live", NOW, 3600.0)
    assert (found["queues"], found["running"]) == ((QueueFacts("checks", 2, NOW - 100.0),), 1)
    assert found["failed"] == (("live-check-failed", "no bias"),)


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_what_the_telescope_sees_of_its_transfer(ledger: Ledger, spool: Spool, tmp_path: Path) -> None:
    settings = summit(tmp_path, no_frame={"hours": [{"start": "00:00", "end": "23:59"}]})
    add_frame(ledger, "f1", NOW - 3000.0, "seen")
    with ledger.begin() as conn:
        conn.execute(insert(files).values(path="/data/b.fits", size=1, mtime_ns=1, reason="short", noticed_at=NOW))
    sweeper = Sweeper(settings, ledger, spool)
    sweeper.sweep(NOW)
    assert set(open_now(ledger)) == {"transfer:backlog:centre", "transfer:no_frame", "transfer:quarantined"}
    assert "backlog,route=centre,site=test bytes=1000i,frames=1i,oldest_s=3000.0" in "\n".join(points(spool))
    # when a person announces that the camera is off, and removes the file
    with ledger.begin() as conn:
        conn.execute(
            insert(mutes).values(pattern="transfer:no*", until=NOW + 900, by="anna", reason="fog", created_at=NOW)
        )
        conn.execute(files.delete())
    sweeper.sweep(NOW + 30.0)
    assert set(open_now(ledger)) == {"transfer:backlog:centre"}
    # when nobody shall look any more
    Sweeper(settings.model_copy(update={"routes": {}}), ledger, spool)
    off = summit(tmp_path, backlog=None, no_frame=None, quarantined=None, daemons=None, heartbeat=None)
    Sweeper(off, ledger, spool).sweep(NOW + 60.0)
    assert open_now(ledger) == {}


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_a_look_that_fails_stops_no_other_and_is_a_condition(
    ledger: Ledger, spool: Spool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = True

    def fails(eye: Eye) -> Report:
        if broken:
            raise RuntimeError("the table is gone")
        return Report(("disk:x:",))

    def works(eye: Eye) -> Report:
        return Report(("queue:",), (Finding("queue:checks:depth", "many"),))

    sweeper = Sweeper(summit(tmp_path), ledger, spool, (("fails", fails), ("works", works)))
    with ledger.begin() as conn:
        conn.execute(
            insert(alerts).values(
                alert="disk:x:full", severity=1, message="", open=True, raised_at=1.0, updated_at=1.0, episode=1
            )
        )
    sweeper.sweep(NOW)
    # what the failed look would have found stays as it was: it is not over because nobody looks
    assert set(open_now(ledger)) == {"disk:x:full", "queue:checks:depth", f"daemon:{HOST}/sweep:fails"}
    assert "RuntimeError: the table is gone" in open_now(ledger)[f"daemon:{HOST}/sweep:fails"]
    with ledger.read() as conn:
        failed = alerts.c.alert == f"daemon:{HOST}/sweep:fails"
        assert conn.execute(select(alerts.c.severity).where(failed)).scalar_one() == 2
    sweeper.sweep(NOW + 30.0)
    assert capsys.readouterr().out.count("look failed") == 1  # the log says it once
    broken = False
    sweeper.sweep(NOW + 60.0)
    assert set(open_now(ledger)) == {"queue:checks:depth"}


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_a_disk_that_runs_full(ledger: Ledger, spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    settings = summit(tmp_path, disks={"full_within_h": None}, no_frame=None)
    with small_disk_at(tmp_path / "state", "2m") as disk:
        sweeper = Sweeper(settings, ledger, spool)
        sweeper.sweep(NOW)
        assert not [name for name in open_now(ledger) if name.startswith(f"disk:{HOST}:state:")]
        (disk / "frames").write_bytes(bytes(1_950_000))
        sweeper.sweep(NOW + 30.0)
        assert "left of 2.1 MB" in open_now(ledger)[f"disk:{HOST}:state:full"]
        # a full disk stops no daemon's file, and no sweep
        with pytest.raises(OSError, match="No space"):
            (disk / "more").write_bytes(bytes(1_000_000))
        sweeper.sweep(NOW + 60.0)
        (disk / "more").unlink()
        (disk / "frames").unlink()
        sweeper.sweep(NOW + 90.0)
        assert f"disk:{HOST}:state:full" not in open_now(ledger)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        sweeper.sweep(NOW + 120.0)
        assert f"disk:{HOST}:state:readonly" in open_now(ledger)
    assert any(line.startswith(f"disk,host={HOST},place=state,site=test free_bytes=") for line in points(spool))


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
def test_hosts_of_one_ledger_miss_each_other(ledger: Ledger, spool: Spool, tmp_path: Path) -> None:
    sweeper = Sweeper(summit(tmp_path, no_frame=None), ledger, spool)
    said = {"daemons": [{"name": "work", "state": "running"}]}
    with ledger.begin() as conn:
        conn.execute(insert(heartbeats).values(who="notify:summit:node2", at=NOW - 900.0, document=said))
    sweeper.sweep(NOW)
    assert "work running" in open_now(ledger)["heartbeat:host/node2:silent"]
    with ledger.begin() as conn:
        conn.execute(heartbeats.update().where(heartbeats.c.who == "notify:summit:node2").values(at=NOW))
    sweeper.sweep(NOW + 30.0)
    assert open_now(ledger) == {}
    with ledger.read() as conn:
        assert conn.execute(select(heartbeats.c.who).where(heartbeats.c.who == f"notify:summit:{HOST}")).one()
    # a daemon that a person stops is missed by nobody
    sweeper.close(NOW + 60.0)
    with ledger.read() as conn:
        assert not conn.execute(select(heartbeats).where(heartbeats.c.who == f"notify:summit:{HOST}")).all()


def test_every_kind_is_registered_once() -> None:
    names = [name for name, _ in LOOKS]
    here = {path.stem for path in Path("services/conditions").glob("*.py")}
    assert len(set(names)) == len(names) and set(names) <= here


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


def said(site: Site, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and words of `nightferry status` at the telescope."""
    code = status.main([*arguments, "-c", str(site.root / "summit.yaml")], standalone_mode=False)
    return code, capsys.readouterr().out


def test_status_says_which_daemons_run(site: Site, spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    # given a shipper that is killed
    run = site.state / "run"

    def started() -> None:
        pid = site.start("ship").pid
        site.wait(
            lambda: (pulse := read_pulse(run / "ship.json")) is not None and pulse.pid == pid and pulse.ready, "it"
        )

    started()
    code, words = said(site, capsys, "--json")
    (daemon,) = json.loads(words)["daemons"]
    assert code == 0 and (daemon["instance"], daemon["state"]) == ("ship", "running")
    site.stop("ship", signal.SIGKILL)
    # then status says so, and so does the sweep
    code, words = said(site, capsys)
    assert code == 1 and "not running (dead)" in words
    ledger = site.ledger("summit")
    # which waits first for systemd to start it again
    patient = Sweeper(summit(site.root).model_copy(update={"state_dir": site.state}), ledger, spool)
    patient.sweep(clock())
    assert f"daemon:{HOST}:ship:dead" not in open_now(ledger)
    at_once = summit(site.root, daemons={"dead_s": 0}).model_copy(update={"state_dir": site.state})
    sweeper = Sweeper(at_once, ledger, spool)
    sweeper.sweep(clock())
    assert f"daemon:{HOST}:ship:dead" in open_now(ledger)
    # what is told already stays, however impatient the one was who told it
    patient.sweep(clock())
    assert f"daemon:{HOST}:ship:dead" in open_now(ledger)
    # when it is started again, it is over; and stopped, it leaves nothing
    started()
    sweeper.sweep(clock())
    assert f"daemon:{HOST}:ship:dead" not in open_now(ledger)
    line = next(line for line in reversed(points(spool)) if line.startswith("daemon,daemon=ship,"))
    assert "up=1i" in line and "rss_bytes=" in line
    site.stop("ship")
    assert not (run / "ship.json").exists() and json.loads(said(site, capsys, "--json")[1])["daemons"] == []
    # where it is expected, its absence is bad
    settings = site.settings("summit")
    site.write("summit", {**settings, "conditions": {"daemons": {"expect": ["ship"]}}})
    code, words = said(site, capsys, "--json")
    assert code == 1 and json.loads(words)["daemons"][0]["state"] == "missing"
    assert said(site, capsys, "--forget", "nobody")[0] == 1


def test_a_host_that_was_taken_away_takes_its_alerts_along(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = site.ledger("summit")
    name = load_settings(site.root / "summit.yaml").site
    with ledger.begin() as conn:
        for alert in ("disk:old:state:full", "daemon:old/sweep:disks", "clock:old:jump", "disk:older:state:full"):
            raise_alert(conn, alert, "as it was", NOW)
        conn.execute(insert(heartbeats).values(who=f"notify:{name}:old", at=NOW, document={}))
    assert said(site, capsys, "--forget", "host:old")[0] == 0
    assert set(open_now(ledger)) == {"disk:older:state:full"}
    assert said(site, capsys, "--forget", "host:old")[0] == 1


@pytest.mark.slow
def test_a_worker_that_is_killed(tmp_path: Path, spool: Spool, redis_client: Any, valkey_url: str) -> None:
    site = Site(tmp_path / "far", redis_url=valkey_url)
    run = site.centre / "state" / "run"
    try:
        for signalled in (signal.SIGKILL, signal.SIGTERM):
            pid = site.start("work").pid
            site.wait(
                lambda pid=pid: (it := read_pulse(run / "work.json")) is not None and it.pid == pid and it.ready,
                "it",
                120.0,
            )  # fmt: skip
            settings = load_settings(site.root / "centre.yaml")
            at_once = settings.conditions.model_copy(update={"daemons": DaemonConditions(dead_s=0)})
            settings = settings.model_copy(update={"conditions": at_once})
            sweeper = Sweeper(settings, site.ledger("centre"), spool)
            sweeper.sweep(clock())
            assert f"daemon:{HOST}:work:dead" not in open_now(site.ledger("centre"))
            site.stop("work", signalled)
            sweeper.sweep(clock())
            assert (f"daemon:{HOST}:work:dead" in open_now(site.ledger("centre"))) == (signalled == signal.SIGKILL)
    finally:
        site.close()
