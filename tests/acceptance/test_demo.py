"""The demo as a stranger runs it: a process, its last line, its exit code, and what it leaves on the disk."""

from __future__ import annotations

import email
import email.policy
import json
import re
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest

from services.demo.watchmen import PARAMETER, rows_taken, rows_written
from tests.acceptance.conftest import DemoNight, run_demo

OK = re.compile(
    r"NIGHT OK: (\d+) frames seen, (\d+) shipped, (\d+) arrived, (\d+) checked, (\d+) reduced, 0 lost, 0 duplicated"
)


def last_line(result: subprocess.CompletedProcess[str] | DemoNight) -> tuple[int, ...]:
    line = result.stdout.strip().splitlines()[-1]
    match = OK.fullmatch(line)
    assert match is not None, f"{line}\n{result.stderr}"
    assert result.returncode == 0
    return tuple(int(number) for number in match.groups())


def test_a_night_survives_the_sudden_death_of_every_daemon(demo_night: DemoNight) -> None:
    seen, shipped, arrived, checked, reduced = last_line(demo_night)
    assert seen == shipped == arrived == checked > 20
    assert reduced > 5
    daemons = ("watch", "ship", "housekeep", "notify", "receive", "conduct", "work-1", "work-2", "notify-centre")
    for victim in daemons:
        assert f"SIGKILL to {victim}" in demo_night.stderr
        assert re.search(rf"{victim} \(-9\) died and was started again", demo_night.stderr)


def test_a_ccd_out_of_limits_is_told_once_and_once_that_it_is_over(demo_night: DemoNight) -> None:
    layout = demo_night.layout
    about = [mail for mail in mails(layout.mail) if PARAMETER in str(mail["Subject"]) + text_of(mail)]
    assert len(about) == 2, [str(mail["Subject"]) for mail in mails(layout.mail)]
    assert all(mail["To"] == "observer@example.org" for mail in about)
    truth = json.loads((layout.truth / "truth.json").read_text())
    (fault,) = truth["faults"]
    assert (fault["kind"], fault["parameter"]) == ("step", PARAMETER)
    written, taken = rows_written(layout), rows_taken(layout)
    assert written == taken > 1000
    assert "Housekeeping, alerts, metrics" in demo_night.stdout
    assert "Housekeeping, alerts, metrics" in (layout.root / "report.html").read_text()


def test_the_consoles_show_the_night_that_was_played(demo_night: DemoNight) -> None:
    ask = [sys.executable, "-m", "services.cli.main"]
    night = [*ask, "night", "--json", "-c", str(demo_night.layout.centre_config)]
    found = subprocess.run(night, capture_output=True, text=True, timeout=60, check=False)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    exposures = [line for line in lines if line["what"] == "exposure"]
    assert len(exposures) == last_line(demo_night)[0]
    assert {line["place"] for line in exposures} == {"checked", "reduced"}
    assert all(0.3 < line["seeing"] < 3 for line in exposures if line["obstype"] == "science")
    assert all(line["delay_s"] < 300 for line in exposures)
    hk = [*ask, "hk", "HK_temp_*", "--json", "-c", str(demo_night.layout.telescope_config)]
    found = subprocess.run(hk, capture_output=True, text=True, timeout=60, check=False)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    temperatures = [line for line in lines if line["what"] == "parameter"]
    assert len(temperatures) == 6
    assert {line["verdict"] for line in temperatures} == {"ok"}
    assert all(line["limits"]["warning_high"] == -95.0 for line in temperatures)


def mails(directory: Path) -> list[EmailMessage]:
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in sorted(directory.iterdir())
    ]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain", "html"))
    return "" if body is None else str(body.get_content())


def test_real_frames_go_all_the_way(tmp_path: Path, shared_data: Path) -> None:
    root = tmp_path / "night"
    numbers = last_line(run_demo("--root", str(root), str(shared_data / "raw" / "efosc2_ntt")))
    assert numbers == (18, 18, 18, 18, 6)
    archived = {path.name for path in (root / "centre" / "archive").rglob("*.fits")}
    assert archived == {path.name for path in (shared_data / "raw" / "efosc2_ntt").iterdir()}
    assert not any(path.stat().st_mode & 0o222 for path in (root / "centre" / "archive").rglob("*.fits"))
    products = root / "centre" / "products" / "live" / "efosc2"
    assert len(list(products.rglob("*-reduced.fits"))) == len(list(products.rglob("*-reduced.png"))) == 6
    assert len(list(products.rglob("live-bias-*.fits"))) == 1
    assert (root / "report.html").read_text().count("<figure>") >= 6
    for log in (root / "logs").glob("*.log"):
        assert all(json.loads(line)["event"] for line in log.read_text().splitlines()), log


def test_a_place_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    result = run_demo("--root", str(tmp_path))
    assert result.returncode == 2
    assert "is not empty and was not made by a demo" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "thesis.tex").exists()


def test_a_directory_without_frames_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = run_demo("--root", str(tmp_path / "night"), str(tmp_path / "data"))
    assert result.returncode == 2
    assert "no frames found" in result.stderr


@pytest.mark.parametrize(
    "verb", ["demo", "watch", "ship", "receive", "conduct", "work", "metrics", "status", "config", "night", "hk"]
)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    command = [sys.executable, "-m", "services.cli.main", verb, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Usage:" in result.stdout
    assert f"nightferry {verb}" in result.stdout or "check" in result.stdout
