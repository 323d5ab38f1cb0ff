"""`nightferry night` and `nightferry hk` as a person has them: over real ledgers, once and on a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, text

from services.cli.hk import hk
from services.cli.night import night
from services.console.readonly import look_at_ledger
from services.core.errors import LedgerUnreachable
from services.core.ledger import centre, shipping, telescope
from services.core.ledger.alerts import raise_alert
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.schema import frames, qa
from services.core.ledger.states import advance
from services.core.settings import LedgerSettings, load_settings
from services.housekeeping.samples import Samples
from services.housekeeping.store import Standing, open_store
from tests.builders import digest, seen_frame
from tests.site import Site

EXPOSURE = {"obstype": "science", "object": "NGC 1365", "filter": "r", "exptime_s": 90.0, "night": "20260115"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", routes={"centre": {}, "partner": {"filter": {"obstype": ["bias"]}}})
    yield made
    made.close()


def see(ledger: Ledger, *expids: int) -> None:
    with ledger.begin() as conn:
        for expid in expids:
            start = f"2026-01-16T0{expid}:00:00"
            telescope.add_seen(conn, seen_frame(f"f{expid}", expid=expid, date_obs=start, **EXPOSURE), 100.0)


def ask(site: Site, *words: str, host: str = "summit") -> Result:
    verb = {"night": night, "hk": hk}[words[0]]
    return CliRunner().invoke(verb, [*words[1:], "-c", str(site.root / f"{host}.yaml")], standalone_mode=False)


def objects(result: Result, what: str) -> list[dict[str, object]]:
    return [found for line in result.stdout.splitlines() if (found := json.loads(line))["what"] == what]


def test_the_telescopes_night_says_what_waits_where(site: Site) -> None:
    ledger = site.ledger("summit")
    see(ledger, 1, 2, 3)
    new = shipping.NewBundle("b1", "centre", "0" * 64, 900, 2880, True, ((digest("f1"), "1" * 64),))
    with ledger.begin() as conn:
        shipping.add_bundle(conn, new, lambda frame: {"centre": True}, 110.0)
        advance(conn, "bundle", "b1", "sent", now=111.0)
    result = ask(site, "night", "--json")
    assert result.return_value == 0
    assert [(e["expid"], e["place"]) for e in objects(result, "exposure")] == [(1, "sent"), (2, "seen"), (3, "seen")]
    routes = {str(line["route"]): line for line in objects(result, "route")}
    assert (routes["centre"]["waiting"], routes["centre"]["waiting_bytes"], routes["centre"]["bundles"]) == (2, 5760, 1)
    assert routes["partner"]["waiting"] == 0  # its filter leaves science out


def test_the_centres_night_says_what_the_checks_found(site: Site) -> None:
    ledger = site.ledger("centre")
    see(ledger, 1, 2)
    task = centre.NewTask("t1", "check", "checks", "20260115", "done", {}, ((digest("f1"), "frame"),))
    row = {"task": "t1", "sha256": digest("f1"), "detector": "1", "amplifier": "", "unit": "arcsec", "message": ""}
    with ledger.begin() as conn:
        conn.execute(frames.update().values(state="arrived"))
        centre.add_task(conn, task, "live", 120.0)
        waiting = centre.NewTask("t2", "check", "checks", "20260115", "failed", {}, ((digest("f2"), "frame"),))
        centre.add_task(conn, waiting, "live", 120.0)
        for check, value, verdict, flag in (("seeing", 1.25, "warning", "FOCUS_OOL"), ("gain", 4.0, "ok", "")):
            conn.execute(insert(qa).values(check=check, value=value, verdict=verdict, flag=flag, **row))
        advance(conn, "frame", digest("f1"), "checked", now=130.0)
        raise_alert(conn, "disk:archive", "archive: 2 % free", 140.0, 2)
    result = ask(site, "night", host="centre")
    assert result.return_value == 1
    lines = result.stdout.splitlines()
    first = next(line for line in lines if line.startswith("01:00:00"))
    assert all(word in first for word in ("science", "NGC 1365", "1.25", "1 warn", "checked", "FOCUS_OOL"))
    assert "FAILED" in next(line for line in lines if line.startswith("02:00:00"))
    assert any(line.endswith("archive: 2 % free  disk:archive") for line in lines)
    assert "\x1b" not in result.stdout


def test_only_the_newest_exposures_on_request(site: Site) -> None:
    see(site.ledger("summit"), *range(1, 8))
    result = ask(site, "night", "--last", "2", "--json")
    assert [line["expid"] for line in objects(result, "exposure")] == [6, 7]
    assert objects(result, "night")[0]["exposures"] == 7


def test_a_look_neither_writes_nor_migrates_nor_waits_for_a_writer(tmp_path: Path) -> None:
    settings = LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.sqlite")
    with pytest.raises(LedgerUnreachable, match="there is no ledger"):
        look_at_ledger(settings)
    assert not (tmp_path / "ledger.sqlite").exists()
    writer = open_ledger(settings)
    looking = look_at_ledger(settings)
    with writer.begin() as conn:
        telescope.add_seen(conn, seen_frame("f1"), 1.0)  # the lock is held
        with looking.read() as other:
            assert other.execute(text("SELECT count(*) FROM frames")).scalar() == 0
    with pytest.raises(LedgerUnreachable, match="readonly"), looking.begin() as conn:
        conn.execute(text("DELETE FROM frames"))
    with writer.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerUnreachable, match="9999"):
        look_at_ledger(settings)
    looking.close()
    writer.close()


def test_a_postgresql_ledger_is_looked_at_read_only(postgres_url: str) -> None:
    settings = LedgerSettings(url=postgres_url)
    open_ledger(settings).close()
    looking = look_at_ledger(settings)
    with pytest.raises(Exception, match="read-only"), looking.begin() as conn:
        conn.execute(text("DELETE FROM frames"))
    looking.close()


def housekeeping(site: Site, *, verdict: str, value: float) -> None:
    state = load_settings(site.root / "summit.yaml").state_dir
    store = open_store(state / "housekeeping.sqlite")
    now = time.time()
    times = np.round((now - np.arange(360)[::-1] * 10.0) * 1e9).astype(np.int64)
    values = np.column_stack([np.full(360, -100.0), np.full(360, 26.0)])
    values[-30:, 0] = value
    samples = Samples("roe1", ("HK_temp_top_CCD1", "HK_OD_Top_CCD1"), times, values, units={"HK_OD_Top_CCD1": "V"})
    limits = {"warning_low": -105.0, "warning_high": -95.0, "error_low": None, "error_high": -90.0}
    standings = [
        Standing("roe1", "HK_temp_top_CCD1", verdict, limits),
        Standing("roe1", "HK_OD_Top_CCD1", "ok", {"warning_low": 25.0}),
    ]
    store.commit([samples], standings=standings, now=now)
    store.close()


def test_housekeeping_out_of_limits_comes_first_and_decides_the_exit_code(site: Site, tmp_path: Path) -> None:
    assert isinstance(ask(site, "hk").exception, Exception)  # nothing there yet
    housekeeping(site, verdict="error", value=-80.0)
    with site.ledger("summit").begin() as conn:
        raise_alert(conn, "housekeeping:roe1:HK_temp_top_CCD1:high", "too warm", 1.0, 2)
    result = ask(site, "hk")
    assert result.return_value == 1
    rows = [line for line in result.stdout.splitlines() if line.startswith("HK_")]
    assert rows[0].split()[:4] == ["HK_temp_top_CCD1", "-80.000", "-", "-105…-95"]
    assert rows[0].endswith("error high")
    assert "▁" in rows[0] and "█" in rows[0]
    assert rows[1].split()[:3] == ["HK_OD_Top_CCD1", "26.000", "V"]
    only = ask(site, "hk", "--out", "--json")
    assert [line["parameter"] for line in objects(only, "parameter")] == ["HK_temp_top_CCD1"]
    assert ask(site, "hk", "HK_OD*", "--plot", str(tmp_path / "od.png")).return_value == 1  # nobody watches it
    assert (tmp_path / "od.png").read_bytes().startswith(b"\x89PNG")


class Terminal:
    """A verb on a terminal of its own."""

    def __init__(self, *words: str, rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        command = [sys.executable, "-m", "services.cli.main", *words]
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        self.slave = slave

    def read_until(self, words: str, timeout_s: float = 30.0) -> str:
        seen, deadline = b"", time.monotonic() + timeout_s
        while words.encode() not in seen:
            assert time.monotonic() < deadline, seen.decode(errors="replace")
            if select.select([self.master], [], [], 0.2)[0]:
                seen += os.read(self.master, 65536)
        return seen.decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        os.close(self.master)
        os.close(self.slave)


@pytest.mark.parametrize("leave", ["q", "ctrl-c"])
def test_watching_draws_what_has_changed_and_gives_the_terminal_back(site: Site, leave: str) -> None:
    ledger = site.ledger("summit")
    see(ledger, 1, 2)
    terminal = Terminal("night", "--watch", "--every", "0.2", "-c", str(site.root / "summit.yaml"))
    try:
        first = terminal.read_until("q: leave")
        assert "NGC 1365" in first and "\x1b[?1049h" in first
        see(ledger, 3)
        news = terminal.read_until("03:00:00")
        assert "01:00:00" not in news  # an old line is not sent again
        fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        os.kill(terminal.process.pid, signal.SIGWINCH)
        assert "01:00:00" in terminal.read_until("q: leave")
        if leave == "q":
            os.write(terminal.master, b"q")
        else:
            os.kill(terminal.process.pid, signal.SIGINT)
        terminal.read_until("\x1b[?1049l")
        assert terminal.process.wait(timeout=10) == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()


def test_watching_outlives_a_ledger_that_is_away(site: Site) -> None:
    ledger = site.ledger("summit")
    see(ledger, 1)
    terminal = Terminal("night", "--watch", "--every", "0.2", "-c", str(site.root / "summit.yaml"))
    path = site.state / "ledger.sqlite"
    try:
        terminal.read_until("q: leave")
        path.rename(path.with_suffix(".away"))
        assert "trying again" in terminal.read_until("trying again")
        path.with_suffix(".away").rename(path)
        terminal.read_until("q: leave")
        assert terminal.process.poll() is None
    finally:
        terminal.close()


def test_watching_without_a_terminal_is_a_usage_error(site: Site) -> None:
    see(site.ledger("summit"), 1)
    result = site.run("night", "--watch")
    assert (result.returncode, "needs" in result.stderr or "--watch" in result.stderr) == (2, True)
