"""`nightferry check`: order and bytes of its output, what it can be asked for, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from processors.check_frame import open_frame
from processors.instrument import load_instruments
from processors.masters.build import build_master
from services.cli.check import check
from tests.site import tiny_night


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("night")
    tiny_night(directory, biases=8, flats=3)
    return directory


def run(*arguments: object) -> Result:
    return CliRunner().invoke(check, [str(argument) for argument in arguments], standalone_mode=False)


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_threads_change_nothing(night: Path) -> None:
    one, four = run(night, "--json"), run(night, "--json", "-j", 4)
    assert one.return_value == four.return_value == 0, one.output
    assert one.stdout == four.stdout
    assert run(night, "--all").stdout == run(night, "--all", "-j", 3).stdout
    assert len({record["file"] for record in records(one)}) == 13


def test_only_some_checks(night: Path) -> None:
    found = records(run(night, "--json", "--only", "read_noise", "--only", "content"))
    assert {record["check"] for record in found} == {"read_noise", "content"}
    done = run(night, "--only", "redshift")
    assert done.exception is not None
    assert "'redshift' is no check; there are amplifiers," in str(done.exception)


def test_drift_needs_five_frames_before(night: Path) -> None:
    found = records(run(night, "--json", "--only", "drift"))
    assert {record["check"] for record in found} == {"drift"}
    assert len(found) == 2 * 3  # of eight biases the last three, two amplifiers each
    assert {record["verdict"] for record in found} == {"ok"}


def test_limits_are_explained_with_their_source(night: Path) -> None:
    found = [record for record in records(run(night, "--json", "--explain")) if "explain" in record]
    (noise,) = [r for r in found if (r["explain"], r["obstype"]) == ("noise", "bias")]
    assert noise["warning"] == [5, 12]
    assert noise["from"] == "2000-01-01"
    assert noise["about"].startswith("Clipped mean of the data")
    (level,) = [r for r in found if (r["explain"], r["obstype"]) == ("mean_level", "science")]
    assert (level["warning"], level["from"]) == (None, "")
    text = run(night, "--explain", "--only", "seeing").stdout
    assert "simcam.yaml, 2000-01-01" in text
    assert "0.4 to 2" in text


def test_frames_are_compared_with_given_masters(night: Path, tmp_path: Path) -> None:
    known = load_instruments()
    frames = [open_frame(path, known) for path in sorted(night.glob("*.fits"))[:3]]
    master = build_master("bias", frames, tmp_path / "bias.fits")
    found = records(run(night, "--json", "--only", "master_level", "--master", master.path))
    assert len(found) == 8 * 2
    assert {record["verdict"] for record in found} == {"ok"}
    assert records(run(night, "--json", "--only", "master_level")) == []


def test_bad_files_are_told_in_their_place(night: Path, tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(b"nonsense")
    done = run(tmp_path, night, "--json", "-j", 2)
    assert done.return_value == 4
    assert records(done)[-1] == {
        "file": str(tmp_path / "a.fits"),
        "error": "not a FITS file (starts with b'nonsense', not with SIMPLE)",
    }
    assert len({record["file"] for record in records(done)}) == 14
