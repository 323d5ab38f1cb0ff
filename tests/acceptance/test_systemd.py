"""The units under a real systemd: two hosts are booted, set up as the documentation says, and a night is played."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.booted_site import CENTRE, TELESCOPE, BootedSite, booted_site, units
from tests.fixtures.systemd import CannotBoot, Machine, until
from tests.site import tiny_night

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

_PATIENCE_S = 120.0
_COMPILED_S = 900.0  # the units' own TimeoutStartSec
_DROP_IN = "[Service]\nWatchdogSec=20\nRestartSec=1\nTimeoutAbortSec=1\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedSite]:
    """Both hosts with every daemon running."""
    try:
        with booted_site(tmp_path_factory.mktemp("booted")) as made:
            made.start()
            yield made
    except CannotBoot as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def hosts(site: BootedSite) -> list[tuple[Machine, str]]:
    """Every daemon, with its host."""
    return [
        *((site.telescope, unit) for unit in units(TELESCOPE)),
        *((site.centre, unit) for unit in units(CENTRE)),
    ]


def shown(host: Machine, unit: str, name: str) -> str:
    """A property of a unit."""
    return host.run("systemctl", "show", "--value", "--property", name, unit).strip()


def nightferry(host: Machine, *arguments: str) -> str:
    """What an operator's command says, run as the docs tell; it may say that something is wrong."""
    return host.attempt("env", "SUDO_USER=olga", "nightferry", *arguments, user="nightferry").stdout


def lines(host: Machine, unit: str = "nightferry-*") -> list[str]:
    """The journal of a unit, without systemd's own lines."""
    said = host.run("journalctl", "--unit", unit, "--output", "json", "--no-pager")
    records = [json.loads(line) for line in said.splitlines()]
    return [record["MESSAGE"] for record in records if record.get("_PID") != "1"]


def read_hk(site: BootedSite, *values: float, pressure: float = 1e-6) -> None:
    """Rows of the cryostat, as its controller writes them: in local time."""
    path = site.telescope.root / "data" / "cryostat" / "cryo_1.csv"
    now = dt.datetime.now(ZoneInfo("America/Santiago"))
    with path.open("a") as file:
        if not file.tell():
            file.write("date;clock;T cold plate;p cryo;Mode\n")
        for number, value in enumerate(values, 1 - len(values)):
            at = now + dt.timedelta(seconds=number)
            file.write(f"{at:%d.%m.%Y;%H:%M:%S};{value};{pressure};cold\n")


def test_every_unit_is_up_and_says_what_it_does(site: BootedSite, hosts: list[tuple[Machine, str]]) -> None:
    for host, unit in hosts:
        until(lambda h=host, u=unit: shown(h, u, "ActiveState") != "activating", _COMPILED_S, f"{unit} is not up")
        assert shown(host, unit, "ActiveState") == "active", host.run("journalctl", "-u", unit, "--no-pager")
        assert shown(host, unit, "NRestarts") == "0"
        until(lambda h=host, u=unit: shown(h, u, "StatusText"), 30, f"{unit} says nothing")
    assert shown(site.telescope, "nightferry-endofnight.timer", "ActiveState") == "active"
    for host in (site.telescope, site.centre):
        said = host.run("nightferry", "config", "check", user="nightferry")
        assert said.endswith("good\n"), said


def test_a_frame_goes_from_the_camera_s_disk_to_the_reduced_product(site: BootedSite, tmp_path: Path) -> None:
    night = tiny_night(tmp_path)
    for frame in night:
        (site.telescope.root / "data" / "raw" / frame.name).write_bytes(frame.read_bytes())

    products = site.centre.root / "srv/nightferry/products"
    until(lambda: len(list(products.rglob("*-reduced.fits"))) == 2, _PATIENCE_S, nightferry(site.centre, "status"))
    archived = {path.name: path.read_bytes() for path in (site.centre.root / "srv/nightferry/archive").rglob("*.fits")}
    assert archived == {path.name: path.read_bytes() for path in night}
    for measurement in ("bundle_sent", "bundle_received", "reduced"):
        until(
            lambda name=measurement: name in site.ask_influx("SHOW MEASUREMENTS"), 60, f"no {measurement} in InfluxDB"
        )


def test_the_timer_closes_the_night_in_one_line(site: BootedSite) -> None:
    host, service, timer = site.telescope, "nightferry-endofnight.service", "nightferry-endofnight.timer"
    # given another time of the end of night, as `systemctl edit` writes it
    directory = host.root / "etc/systemd/system" / f"{timer}.d"
    directory.mkdir()
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)
    when = f"OnCalendar=\nOnCalendar={soon:%Y-%m-%d %H:%M:%S} UTC\nRandomizedDelaySec=0\nAccuracySec=1s\n"
    (directory / "override.conf").write_text(f"[Timer]\n{when}")

    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", timer)

    until(lambda: lines(host, service), _PATIENCE_S, "the timer does not close the night")
    until(lambda: shown(host, service, "ActiveState") == "inactive", _PATIENCE_S, "it does not end")
    (line,) = lines(host, service)
    assert json.loads(line)["night"] == "20260115"
    assert shown(host, service, "Result") == "success"


def test_a_value_out_of_limits_reaches_the_mailbox_and_the_telephone(site: BootedSite) -> None:
    read_hk(site, 100.0, 100.0, 131.5, 131.5, 131.5)

    mails, phone = site.centre.root / "srv/mail", site.telescope.root / "srv/sms"
    until(lambda: any("t_cold 131.5 K" in mail.read_text() for mail in mails.glob("*.eml")), 60, "no mail")
    until(lambda: "t_cold 131.5 K limit 120 K" in phone.read_text(), 60, "no SMS")
    assert "error high" in nightferry(site.telescope, "hk")
    nightferry(site.telescope, "alerts", "ack", "housekeeping:cryostat:t_cold:high")
    assert "olga" in nightferry(site.telescope, "alerts", "show", "housekeeping:cryostat:t_cold:high")


def test_an_sms_that_no_modem_takes_comes_back_from_smsd(site: BootedSite) -> None:
    """Debian's spool: its smsd is another user, in none of its own groups."""
    site.telescope.run("systemctl", "stop", "modem.service")
    site.telescope.run("systemctl", "restart", "smstools.service")

    said = nightferry(site.telescope, "alerts", "test", "--kind", "sms", "--person", "anna")

    site.telescope.run("systemctl", "start", "modem.service")
    assert "taken back" in said
    spool = site.telescope.root / "var/spool/sms"
    assert not [*(spool / "outgoing").iterdir(), *(spool / "checked").iterdir()]


def test_a_reload_takes_limits_and_people(site: BootedSite) -> None:
    etc, phone = site.telescope.root / "etc/nightferry", site.telescope.root / "srv/sms"
    limits, settings = etc / "limits.yaml", etc / "summit.yaml"
    with_pressure = yaml.safe_load(limits.read_text())
    with_pressure["sources"]["cryostat"]["parameters"]["p_cryo"] = {"unit": "mbar", "safe": [0, 1e-5]}
    limits.write_text(yaml.safe_dump(with_pressure))
    settings.write_text(settings.read_text().replace("+56912345678", "+56900000001"))

    site.telescope.run("systemctl", "reload", *units(("housekeep", "notify", "ship", "watch")))

    read_hk(site, 100.0, 100.0, 100.0, pressure=0.5)
    until(
        lambda: "56900000001 summit S2 ALERT: p_cryo 0.5 mbar" in phone.read_text(), 60, "the new number is not called"
    )


def test_a_stop_is_clean_and_what_was_stopped_is_not_missed(site: BootedSite, hosts: list[tuple[Machine, str]]) -> None:
    for host in (site.telescope, site.centre):
        host.run("systemctl", "stop", *(unit for other, unit in hosts if other is host))
        assert not list((host.root / "var/lib/nightferry/run").glob("*.json"))
    for host, unit in hosts:
        assert (shown(host, unit, "Result"), shown(host, unit, "ExecMainStatus")) == ("success", "0")
    for host in (site.telescope, site.centre):
        host.run("systemctl", "start", *(unit for other, unit in hosts if other is host))


def test_a_killed_daemon_and_one_that_hangs_come_back(site: BootedSite, hosts: list[tuple[Machine, str]]) -> None:
    for host, unit in hosts:
        directory = host.root / "etc/systemd/system" / f"{unit}.d"
        directory.mkdir()
        (directory / "test.conf").write_text(_DROP_IN)
    for host in (site.telescope, site.centre):
        host.run("systemctl", "daemon-reload")
    for word in ("KILL", "STOP"):
        for host in (site.telescope, site.centre):
            host.run("systemctl", "restart", *(unit for other, unit in hosts if other is host))
        for host, unit in hosts:
            host.run("systemctl", "kill", "--kill-whom=main", f"--signal={word}", unit)
        for host, unit in hosts:
            until(lambda h=host, u=unit: shown(h, u, "NRestarts") != "0", _PATIENCE_S, f"{unit}: {word} was its end")
            until(lambda h=host, u=unit: shown(h, u, "SubState") == "running", _PATIENCE_S, f"{unit} is not up")


def test_after_a_boot_the_telescope_s_daemons_go_on(site: BootedSite, tmp_path: Path) -> None:
    site.telescope.reboot()
    for unit in units(TELESCOPE):
        until(lambda u=unit: shown(site.telescope, u, "SubState") == "running", _PATIENCE_S, f"{unit} is not up")

    frame = tiny_night(tmp_path, night="20260116")[0]
    (site.telescope.root / "data" / "raw" / frame.name).write_bytes(frame.read_bytes())

    archive = site.centre.root / "srv/nightferry/archive"
    until(lambda: list(archive.rglob(f"20260116/{frame.name}")), _PATIENCE_S, nightferry(site.telescope, "status"))


def test_the_journal_has_lines_and_no_secrets(site: BootedSite) -> None:
    for host in (site.telescope, site.centre):
        said = lines(host)
        assert len(said) > 10
        for line in said:
            assert isinstance(json.loads(line), dict), line
        whole = host.run("journalctl", "--no-pager", "--output", "cat")
        assert not [word for word in ("flux secret", "push secret", "PRIVATE KEY") if word in whole]
