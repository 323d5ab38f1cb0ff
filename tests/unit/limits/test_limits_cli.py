"""`nightferry limits check` and `replay`, on real files and on the simulator's."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from processors.simulator import housekeeping
from processors.simulator.options import NightOptions
from services.cli.main import cli
from services.core.errors import ServiceError

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "config" / "limits"
ROE = EXAMPLES / "euclid_roe.yaml"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["limits", *map(str, arguments)], standalone_mode=False)


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Half an hour of the simulated camera; from 23:10 on one CCD is too warm, and at 23:20 the files stop."""
    start = dt.datetime(2026, 1, 15, 23, tzinfo=dt.UTC)
    values = housekeeping.values(NightOptions(seed=3), start, start + dt.timedelta(minutes=30))
    names = [parameter[0] for parameter in housekeeping.PARAMETERS]
    values[60:90, names.index("HK_temp_top_CCD2")] += 15
    lines = [housekeeping.header_line()]
    for index, row in enumerate(values):
        if not 90 <= index < 150:
            when = start + dt.timedelta(seconds=10 * index)
            lines.append(f"{when:%H:%M:%S}\t" + "\t".join(f"{value:.2f}" for value in row) + "\r\n")
    path = tmp_path / "HK_1_150126D230000T_ROE1.txt"
    path.write_bytes("".join(lines).encode("ascii"))
    return path


def test_replay_tells_every_alert_and_how_far_each_parameter_was_out(night: Path) -> None:
    result = run("replay", ROE, "--hk", night, "--json")
    alerts = [one for one in objects(result) if one["what"] == "alert"]
    assert [(one["alert"], one["severity"], one["raised"][11:], one["resolved"][11:]) for one in alerts] == [
        ("housekeeping:roe1:HK_temp_top_CCD2:high", 2, "23:10:20Z", "23:27:00Z"),
        ("housekeeping:roe1:HK_temp_top_CCD2:rate", 2, "23:10:40Z", "23:13:30Z"),
        ("housekeeping:roe1:*:stale", 2, "23:17:20Z", "23:27:20Z"),
    ]
    (summary,) = [one for one in objects(result) if one.get("parameter") == "HK_temp_top_CCD2" and "out" in one]
    assert (summary["samples"], summary["alerts"]) == (121, 2)
    assert 0.2 < summary["out"] < 0.4
    assert result.return_value == 1


def test_replay_between_two_times_and_for_a_person(night: Path) -> None:
    quiet = run("replay", ROE, "--hk", f"roe1={night}", "--to", "2026-01-15T23:09:00")
    assert quiet.return_value == 0
    assert "0 alerts (0 of severity 2); 55 parameters always within limits, 0 without limits" in quiet.stderr
    loud = run("replay", ROE, night)
    assert "HK_temp_top_CCD2 -8" in loud.stdout
    assert "housekeeping:roe1:*:stale" in loud.stdout
    nothing = run("replay", ROE, night, "--from", "2027-01-01")
    assert "no rows between --from and --to" in str(nothing.exception)


def test_power_that_is_switched_on_is_quiet_and_power_that_trips_is_told(night: Path) -> None:
    """Half an hour: off, on from 23:10, and lost at 23:20 with everything that hangs on it."""
    head, *lines = night.read_text(encoding="ascii").splitlines(keepends=True)
    dark = "\t".join(["0.00"] * (head.count("\t")))
    on = [line.split("\t", 1)[1] for line in lines[:55]]
    rows = [f"{dark}\r\n"] * 60 + on + [f"{dark}\r\n"] * 60
    times = [
        dt.datetime(2026, 1, 15, 23, tzinfo=dt.UTC) + dt.timedelta(seconds=10 * index) for index in range(len(rows))
    ]
    text = "".join(f"{when:%H:%M:%S}\t{row}" for when, row in zip(times, rows, strict=True))
    night.write_bytes((head + text).encode("ascii"))
    alerts = [one for one in objects(run("replay", ROE, night, "--json")) if one["what"] == "alert"]
    assert [(one["alert"], one["severity"]) for one in alerts] == [("housekeeping:roe1:HK_28V_Pri_RPSU:fall", 2)]


def test_a_directory_with_an_exposure_log_in_it_is_read_without_a_word_about_that(night: Path) -> None:
    (night.parent / "EXP_LOG_150126.txt").write_text("ObsID\tDATE\n1\t150126D231649T\n", encoding="utf-8")
    result = run("replay", ROE, night.parent)
    assert result.return_value == 1
    assert "set aside" not in result.stderr


def test_replay_with_nights_to_learn_from(night: Path, tmp_path: Path) -> None:
    path = tmp_path / "envelope.yaml"
    path.write_text(
        "sources: {roe1: {parameters: {HK_temp_*: {stale_s: off, envelope: {min_nights: 1, every_s: 1}}}}}",
        encoding="utf-8",
    )
    result = run("replay", path, night, "--learn", f"roe1={night}", "--from", "2026-01-15T23:05:00", "--json")
    assert {one["alert"] for one in objects(result) if one["what"] == "alert"} <= {
        "housekeeping:roe1:HK_temp_top_CCD2:envelope"
    }


def test_check_shows_the_limits_and_what_has_none(night: Path, tmp_path: Path) -> None:
    assert run("check", ROE, "--hk", night).return_value == 0
    records = objects(run("check", ROE, "--json"))
    assert {"source", "parameter", "performance", "safe", "unit", "when"} <= set(records[0])
    path = tmp_path / "few.yaml"
    path.write_text("sources: {roe1: {parameters: {HK_temp_*: {unit: K}, HK_typo: {}}}}", encoding="utf-8")
    result = run("check", path, "--hk", night, "--json")
    findings = [one for one in objects(result) if "finding" in one]
    assert {"finding": "no parameter", "source": "roe1", "parameter": "HK_typo"} in findings
    assert {"finding": "no limit", "source": "roe1", "parameter": "HK_OD_Top_CCD1"} in findings
    assert result.return_value == 1


def test_mistakes_and_missing_things_are_usage_errors(night: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("sources: {roe1: {parameters: {T: {mode: identity}}}}", encoding="utf-8")
    result = run("check", bad)
    assert isinstance(result.exception, ServiceError)
    assert result.exception.exit_code == 2
    assert f"{bad}:1: sources.roe1.parameters.T: mode identity needs" in str(result.exception)
    assert "no such file" in str(run("replay", ROE, "--hk", "nowhere.txt").exception)
    assert "the limits know no source 'drive'" in str(run("replay", ROE, "--hk", f"drive={night}").exception)
    assert "no data" in str(run("replay", ROE).exception)
    empty = tmp_path / "HK_2_150126D230000T_ROE1.txt"
    empty.write_text("HK_timestamp\tA\n", encoding="utf-8")
    unreadable = run("replay", ROE, empty)
    assert isinstance(unreadable.exception, ServiceError)
    assert unreadable.exception.exit_code == 4


def test_the_camera_that_is_off_is_quiet_by_its_when_and_loud_without(shared_data: Path, tmp_path: Path) -> None:
    off = shared_data / "housekeeping" / "vison_roe" / "HK_191_050800D000000T_ROE1.txt"
    assert run("check", ROE, "--hk", off).return_value == 0
    assert run("replay", ROE, off).return_value == 0
    text = ROE.read_text(encoding="utf-8").replace(
        "      when: {parameter: HK_VCCD_ROE, above: 20, settle_s: 30}", "      when: off"
    )
    (tmp_path / "always.yaml").write_text(text, encoding="utf-8")
    alerts = {
        one["alert"][18:] for one in objects(run("replay", tmp_path / "always.yaml", off, "--json")) if "raised" in one
    }
    assert len(alerts) == 51
    assert {"HK_temp_bottom_CCD1:railed", "Video_TOP:railed", "HK_VCCD_ROE:low", "HK_3V_neg_ROE:high"} <= alerts
    assert "HK_temp_bottom_CCD1:low" not in alerts


def test_a_telescope_s_drive(shared_data: Path) -> None:
    drive = shared_data / "housekeeping" / "fact_drive" / "20130102.DRIVE_CONTROL_TRACKING_POSITION.fits"
    found = objects(run("replay", EXAMPLES / "drive.yaml", drive, "--json"))
    alerts = [one["alert"] for one in found if one["what"] == "alert"]
    assert sorted(set(alerts)) == ["housekeeping:drive:*:stale", "housekeeping:drive:dev:high"]
    assert len(alerts) == 12


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_of_a_table_is_seen(tmp_path: Path, delimiter: str) -> None:
    lines = [("time", "T"), *((f"2026-01-15T23:00:{second:02}", "5.0") for second in range(20))]
    (tmp_path / "hk.csv").write_text("".join(f"{delimiter.join(line)}\n" for line in lines), encoding="utf-8")
    (tmp_path / "limits.yaml").write_text("sources: {hk: {parameters: {T: {warning: [0, 4], stale_s: off}}}}")
    said = objects(run("replay", tmp_path / "limits.yaml", tmp_path / "hk.csv", "--json"))
    assert [one["alert"] for one in said if one["what"] == "alert"] == ["housekeeping:hk:T:high"]
