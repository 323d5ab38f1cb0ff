"""`nightferry alerts` as a person uses it on an ssh line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.alerts.rounds import decide_round
from services.cli.alerts import whoever
from services.cli.main import cli
from services.core.settings import load_settings
from tests.desk import Desk
from tests.fixtures.smtp import SmtpServer
from tests.fixtures.twilio import Cloud

Run = Callable[..., Result]


@pytest.fixture
def desk(tmp_path: Path, smtp: SmtpServer, cloud: Cloud) -> Iterator[Desk]:
    made = Desk(tmp_path, smtp.url, cloud.twilio_url)
    yield made
    made.close()


@pytest.fixture
def run(desk: Desk) -> Run:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["alerts", *arguments, "-c", str(desk.file)], standalone_mode=False)

    return call


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_list_shows_what_waits_for_a_person_and_says_so_with_its_exit_code(desk: Desk, run: Run) -> None:
    empty = run("list")
    assert empty.return_value == 0 and "no alert is open" in empty.stdout
    desk.raised("disk:archive", severity=1)
    desk.raised("route:centre:host_key", severity=2)
    assert run("list").return_value == 1
    assert [row["alert"] for row in records(run("list", "--json"))] == ["route:centre:host_key", "disk:archive"]
    assert [row["alert"] for row in records(run("list", "disk:*", "--json"))] == ["disk:archive"]
    desk.resolved("disk:archive")
    assert len(records(run("list", "--json"))) == 1
    assert [row["state"] for row in records(run("list", "--all", "--json"))] == ["raised", "resolved"]


def test_a_name_stays_whole_on_80_columns(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "housekeeping:roe1:HK_temp_bottom_CCD1:envelope"
    desk.raised(name, severity=1)
    monkeypatch.setenv("COLUMNS", "80")
    assert name in run("list").stdout.splitlines()
    assert any(line.strip().endswith(name) for line in run("history").stdout.splitlines())


def test_ack_by_name_pattern_and_all(desk: Desk, run: Run) -> None:
    desk.raised("disk:a", "disk:b", "clock:offset")
    assert run("ack", "disk:*", "--by", "anna", "--reason", "moving nights").return_value == 0
    states = {row["alert"]: (row["state"], row["acknowledged_by"]) for row in records(run("list", "--json"))}
    assert states == {
        "disk:a": ("acknowledged", "anna"),
        "disk:b": ("acknowledged", "anna"),
        "clock:offset": ("raised", None),
    }
    again = run("ack", "all", "--json")
    assert {row["alert"]: row["before"] for row in records(again)} == {
        "clock:offset": False,
        "disk:a": True,
        "disk:b": True,
    }
    assert run("list").return_value == 0
    assert run("ack", "nothing:*").return_value == 1
    assert "by anna: moving nights" in run("history", "disk:a").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "soon"], "expected a duration"),
        (["--for", "0s"], "more than nothing"),
        (["--until", "yesterday"], "expected 08:00"),
        (["--until", "2020-01-01T00:00"], "a moment to come"),
        ([], "either --for or --until"),
        (["--for", "1h", "--until", "08:00"], "either --for or --until"),
    ],
)
def test_a_mute_needs_an_end_that_makes_sense(run: Run, arguments: list[str], words: str) -> None:
    result = run("mute", "disk:*", "--reason", "why", *arguments)
    assert words in str(result.exception.format_message())  # type: ignore[union-attr]


def test_mute_and_unmute(desk: Desk, run: Run) -> None:
    desk.raised("disk:a")
    (muted,) = records(run("mute", "disk:*", "--for", "1h30m", "--reason", "new disk", "--by", "ben", "--json"))
    assert (muted["open"], muted["by"]) == (["disk:a"], "ben")
    shown = run("list")
    assert shown.return_value == 0 and "muted: disk:* until" in shown.stdout and "by ben: new disk" in shown.stdout
    assert run("unmute", "disk:*").return_value == 0
    assert run("unmute", "disk:*").return_value == 1
    assert [row["state"] for row in records(run("list", "--json"))] == ["raised"]


def test_show_tells_the_history_with_its_messages(desk: Desk, run: Run) -> None:
    desk.raised("disk:a", severity=2)
    settings = load_settings(desk.file).alerts
    assert settings is not None
    from services.core.ledger.engine import now

    decide_round(desk.ledger, settings, now() + 1)
    (record,) = records(run("show", "disk:a", "--json"))
    assert [step["step"] for step in record["history"]] == ["raised", "told raised", "told raised"]
    assert "sms to anna: waiting" in run("show", "disk:a").stdout
    assert run("show", "disk:nothing").return_value == 1


def test_test_sends_through_every_channel_and_says_what_each_answered(
    desk: Desk, run: Run, smtp: SmtpServer, cloud: Cloud
) -> None:
    good = run("test", "--json")
    assert good.return_value == 0
    assert [(r["channel"], r["person"], r["answer"]) for r in records(good)] == [
        ("smtp", "anna", "sent"),
        ("twilio", "anna", "sent"),
        ("smtp", "ben", "sent"),
        ("twilio", "ben", "sent"),
    ]
    assert (len(smtp.mails), len(cloud.texts)) == (2, 2)
    assert ("test", "anna", "mail", "sent") in desk.queue()

    smtp.refused.add("ben@example.org")
    assert run("test", "--person", "ben", "--kind", "mail").return_value == 1
    smtp.stop()
    silent = run("test", "--person", "anna", "--json")
    assert silent.return_value == 3
    assert [r["answer"] for r in records(silent)] == ["unreachable", "sent"]
    assert "nobody is called" in str(run("test", "--person", "zoe").exception.format_message())  # type: ignore[union-attr]


def test_who_calls_by_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the service may write the ledger, so people come by `sudo -u nightferry`: the audit names them."""
    monkeypatch.setenv("SUDO_USER", "anna")
    assert (whoever(None), whoever("ben")) == ("anna", "ben")


def test_the_command_in_a_message_works_as_it_is_typed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -c it is the settings file that the units of systemd name; where there is none, that is said."""
    desk.write()
    monkeypatch.delenv("NIGHTFERRY_CONFIG", raising=False)
    monkeypatch.setattr("services.cli.daemons.SITE_FILE", desk.root / "none.yaml")
    result = CliRunner().invoke(cli, ["alerts", "ack", "disk:archive"])
    assert result.exit_code == 2 and "Missing option '-c'" in result.output
    monkeypatch.setattr("services.cli.daemons.SITE_FILE", desk.file)
    result = CliRunner().invoke(cli, ["alerts", "ack", "disk:archive"], standalone_mode=False)
    assert result.return_value == 1 and "no open alert is called disk:archive" in result.output


def test_config_check_remarks_what_may_not_be_meant(desk: Desk) -> None:
    desk.alerts["oncall"]["shifts"] = [{"days": ["fri"], "chain": ["ben"]}, {"hours": "20:00-06:00", "chain": ["anna"]}]
    desk.write()
    result = CliRunner().invoke(cli, ["config", "check", str(desk.file), "--json"], standalone_mode=False)
    (record,) = records(result)
    assert result.return_value == 0 and record["ok"]
    assert any("shift 0 wins" in remark for remark in record["remarks"])
    (desk.root / "twilio.url").write_text("twillio://x")
    result = CliRunner().invoke(cli, ["config", "check", str(desk.file), "--json"], standalone_mode=False)
    assert result.return_value == 2 and "alerts.channels.twilio.url" in result.stdout
