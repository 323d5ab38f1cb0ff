"""The units of systemd start verbs that exist, as daemons that come back, and the table of units lists them."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from services.cli.main import VERBS

UNITS = sorted((Path(__file__).parents[3] / "systemd").glob("*.service"))


def read(path: Path) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path, encoding="utf-8")
    return unit


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_a_verb_as_its_own_user_and_is_listed(path: Path) -> None:
    unit = read(path)
    program, verb, option, _, *_ = unit["Service"]["ExecStart"].split()
    assert (program, option) == ("/opt/nightferry/bin/nightferry", "-c")
    assert verb in VERBS
    assert unit["Service"]["User"] == "nightferry"
    assert path.name.replace("@.", "@1.").removesuffix(".service") in path.with_name("README.md").read_text()


@pytest.mark.parametrize("name", ["watch", "ship", "housekeep", "notify"])
def test_a_daemon_that_takes_its_settings_again_can_be_reloaded(name: str) -> None:
    """docs/alerts.md and docs/housekeeping.md speak of `systemctl reload`."""
    (path,) = [path for path in UNITS if path.stem == f"nightferry-{name}"]
    assert read(path)["Service"]["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_ledger_and_the_people_in_it_are_no_business_of_other_users(path: Path) -> None:
    service = read(path)["Service"]
    assert (service["StateDirectory"], service["StateDirectoryMode"]) == ("nightferry", "0750")
    assert service["EnvironmentFile"] == "-/etc/nightferry/environment"


@pytest.mark.parametrize("path", [path for path in UNITS if "endofnight" not in path.name], ids=lambda path: path.stem)
def test_a_daemon_is_started_again_unless_its_settings_are_wrong(path: Path) -> None:
    service = read(path)["Service"]
    assert service["TimeoutStartSec"] == "15min"  # a worker compiles for minutes where nobody has before
    assert (service["Type"], service["Restart"], service["RestartPreventExitStatus"]) == ("notify", "always", "2")
    assert VERBS[path.stem.removeprefix("nightferry-").rstrip("@")][1].startswith("Daemon: ")
