"""The demo as a stranger runs it: a process, its last line, its exit code, and what it leaves on the disk."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

OK = re.compile(
    r"NIGHT OK: (\d+) frames seen, (\d+) shipped, (\d+) arrived, (\d+) checked, (\d+) reduced, 0 lost, 0 duplicated"
)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli.main", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def last_line(result: subprocess.CompletedProcess[str]) -> tuple[int, ...]:
    line = result.stdout.strip().splitlines()[-1]
    match = OK.fullmatch(line)
    assert match is not None, f"{line}\n{result.stderr}"
    assert result.returncode == 0
    return tuple(int(number) for number in match.groups())


def test_a_night_survives_the_sudden_death_of_every_daemon(tmp_path: Path) -> None:
    result = demo("--root", str(tmp_path / "night"), "--chaos", "--seed", "3")
    seen, shipped, arrived, checked, reduced = last_line(result)
    assert seen == shipped == arrived == checked > 20
    assert reduced > 5
    for victim in ("watch", "ship", "receive", "conduct", "work-1", "work-2"):
        assert f"SIGKILL to {victim}" in result.stderr
        assert re.search(rf"{victim} \(-9\) died and was started again", result.stderr)


def test_real_frames_go_all_the_way(tmp_path: Path, shared_data: Path) -> None:
    root = tmp_path / "night"
    numbers = last_line(demo("--root", str(root), str(shared_data / "raw" / "efosc2_ntt")))
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
    result = demo("--root", str(tmp_path))
    assert result.returncode == 2
    assert "is not empty and was not made by a demo" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "thesis.tex").exists()


def test_a_directory_without_frames_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = demo("--root", str(tmp_path / "night"), str(tmp_path / "data"))
    assert result.returncode == 2
    assert "no frames found" in result.stderr


@pytest.mark.parametrize("verb", ["demo", "watch", "ship", "receive", "conduct", "work", "metrics", "status", "config"])
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    command = [sys.executable, "-m", "services.cli.main", verb, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Usage:" in result.stdout
    assert f"nightferry {verb}" in result.stdout or "check" in result.stdout
