"""The command: objects for machines, one line for people, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from processors.simulator.options import BadOptions
from services.cli.simulate import simulate

SMALL = ["--width", "64", "--height", "64", "--detectors", "2", "--biases", "2", "--darks", "0", "--flats", "1"]
SMALL += ["--targets", "0", "--filters", "r"]


def test_json_says_what_every_frame_is(tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, [str(tmp_path / "n"), *SMALL, "--layout", "detectors", "--json"])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(record["file"]).exists() for record in records] == [True] * 8
    keys = {"file", "instrument", "night", "expid", "detectors", "obstype", "exptime_s", "filter", "object", "date_obs"}
    assert all(keys | {"sequence", "size", "sha256"} == record.keys() for record in records)
    assert "8 frames" in result.stderr
    assert (tmp_path / "n-truth" / "truth.json").exists()


def test_several_nights_follow_each_other(tmp_path: Path) -> None:
    arguments = [str(tmp_path), *SMALL, "--nights", "2", "--night", "20251231", "--no-hk", "--json"]
    result = CliRunner().invoke(simulate, arguments)
    nights = [json.loads(line)["night"] for line in result.stdout.splitlines()]
    assert nights == ["20251231"] * 4 + ["20260101"] * 4
    assert (tmp_path.with_name(f"{tmp_path.name}-truth") / "20260101" / "truth.json").exists()
    assert not (tmp_path / "hk").exists()


def test_pace_and_delay_do_not_change_a_byte(tmp_path: Path) -> None:
    for name, extra in (("a", []), ("b", ["--pace", "0.01", "--write-delay", "0.01"])):
        result = CliRunner().invoke(simulate, [str(tmp_path / name), *SMALL, *extra])
        assert result.exit_code == 0, result.output
    for path in (tmp_path / "a").glob("*.fits"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("bad", [["--width", "63"], ["--filters", "g,x"], ["--night", "20260230"], ["--exptime", "0"]])
def test_an_impossible_night_is_refused_before_anything_is_written(tmp_path: Path, bad: list[str]) -> None:
    result = CliRunner().invoke(simulate, [str(tmp_path / "n"), *bad])
    assert isinstance(result.exception, BadOptions)
    assert not (tmp_path / "n").exists()


def test_a_number_below_zero_is_a_usage_error(tmp_path: Path) -> None:
    assert CliRunner().invoke(simulate, [str(tmp_path), "--biases", "-1"]).exit_code == 2


def test_a_camera_of_any_number_of_detectors_is_complete(tmp_path: Path) -> None:
    from processors.check_frame import check_frame
    from processors.instrument import load_instruments

    result = CliRunner().invoke(simulate, [str(tmp_path / "n"), *SMALL, "--detectors", "6"])
    assert result.exit_code == 0, result.output
    frame = min((tmp_path / "n").glob("*.fits"))
    (complete,) = [r for r in check_frame(frame, load_instruments()) if r.check == "completeness"]
    assert (complete.value, complete.verdict) == (6, "ok")
