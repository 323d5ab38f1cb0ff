"""`nightferry pack` and `unpack` as a person and a script use them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.transfer.bundles import camera


def nightferry(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from services.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_there_and_back(tmp_path: Path) -> None:
    paths = [frame.path for frame in camera(tmp_path / "camera", 2)]
    packed = nightferry("pack", *paths, "-o", tmp_path / "out", "--bundle", "B", "--json")
    assert packed.returncode == 0, packed.stderr
    *frames, summary = records(packed.stdout)
    assert [frame["file"] for frame in frames] == ["frame:0.fits", "frame:1.fits"]
    assert summary["frames"] == 2
    unpacked = nightferry("unpack", summary["path"], "-o", tmp_path / "back", "--json")
    assert unpacked.returncode == 0, unpacked.stderr
    assert [record["sha256"] for record in records(unpacked.stdout)] == [frame["sha256"] for frame in frames]
    for path in paths:
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


def test_a_bad_file_is_one_line_and_the_others_go_on(tmp_path: Path) -> None:
    (good,) = camera(tmp_path / "camera", 1)
    done = nightferry("pack", tmp_path / "none.fits", good.path, tmp_path, "-o", tmp_path / "out", "--bundle", "B")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert sum("none.fits" in line for line in done.stderr.splitlines()) == 1
    assert (tmp_path / "out/B.json").exists()

    (tmp_path / "out/B.nfb").write_bytes(b"broken")
    done = nightferry("unpack", tmp_path / "out/B.nfb", tmp_path / "no.nfb", "-o", tmp_path / "back", "--json")
    assert done.returncode == 4
    assert [str(record["error"]).split(":")[0] for record in records(done.stdout)] == ["Corrupt", "BadDocument"]
    assert len(done.stderr.splitlines()) == 2
    assert nightferry("pack", tmp_path / "none.fits", "-o", tmp_path / "out").returncode == 4


@pytest.mark.parametrize("verb", ["pack", "unpack"])
def test_help_shows_examples(verb: str) -> None:
    shown = nightferry(verb, "--help")
    assert shown.returncode == 0
    assert f"nightferry {verb} " in shown.stdout
    assert "Exit codes" in shown.stdout


@pytest.mark.parametrize("codec", ["nfz", "rice", "raw"])
def test_every_odd_file(shared_data: Path, tmp_path: Path, codec: str) -> None:
    paths = sorted(path for path in (shared_data / "odd").rglob("*") if path.is_file())
    packed = nightferry("pack", *paths, "-o", tmp_path / "out", "--codec", codec, "--bundle", "odd")
    assert packed.returncode == 0, packed.stderr
    unpacked = nightferry("unpack", tmp_path / "out/odd.nfb", "-o", tmp_path / "back")
    assert unpacked.returncode == 0, unpacked.stderr
    expected = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "back").iterdir()) == expected
