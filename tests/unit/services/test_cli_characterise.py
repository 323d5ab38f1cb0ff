"""`nightferry characterise`: options, tables, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from processors.characterise.registry import KINDS
from services.cli.characterise import characterise
from tests.site import tiny_night
from tests.unit.processors.bench_camera import BenchCamera, known, save


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Four biases, a pair of flats, a dark, and the instrument file."""
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    for n in range(4):
        save(tmp_path, bench.raw(0.0), instruments, n, "bias")
    for n in (4, 5):
        save(tmp_path, bench.raw(2e4), instruments, n, "flat", EXPTIME=2.0, FILTER="g")
    save(tmp_path, bench.raw(0.0, 10.0), instruments, 6, "dark", EXPTIME=10.0)
    return tmp_path


def run(*arguments: Any) -> tuple[int, str, str]:
    result = CliRunner().invoke(characterise, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


def test_table_names_quantities_and_explains_frames(night: Path) -> None:
    code, out, err = run("bias", night, "--instruments", night, "--explain")
    assert code == 0
    assert "BIAS  testbench  detector 1" in out
    assert "read_noise" in out
    assert "bias000.fits  used as bias" in out
    assert "flat004.fits: obstype flat, not bias" in out and not err
    assert "no flags" in out


def test_json_is_one_object_per_detector_and_group(night: Path) -> None:
    code, out, _ = run("PTC", night, "--instruments", night, "--json", "-j", "2")
    (record,) = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert (record["kind"], record["detector"], record["group"]) == ("PTC", "1", "g")
    gain = next(q for q in record["quantities"] if (q["name"], q["amplifier"]) == ("gain", "A"))
    assert gain["value"] == pytest.approx(2.0, rel=0.05)
    assert gain["error"] < 0.1
    # a lower limit has no error, and JSON no NaN
    assert next(q for q in record["quantities"] if q["name"] == "full_well")["error"] is None
    assert {figure["name"] for figure in record["figures"]} >= {"ptc_A", "ptc_B"}


def test_a_flag_is_exit_code_1(night: Path) -> None:
    code, out, _ = run("bias", night, "--instruments", night, "--limit", "read_noise_adu=:2.5", "--json")
    assert code == 1
    record = json.loads(out)
    assert record["flags"] == ["RON_OOL"]
    flagged = [(q["name"], q["amplifier"], q["limits"]) for q in record["quantities"] if q["flag"]]
    assert flagged == [("read_noise_adu", "A", [None, 2.5])]


def test_frames_that_are_not_there_are_missing_data(night: Path) -> None:
    code, out, _ = run("focus", night, "--instruments", night, "--json")
    assert (code, json.loads(out)["flags"]) == (1, ["MISSDATA"])
    code, out, _ = run("linearity", night, "--instruments", night)
    assert code == 1
    assert "LINEARITY needs 4 frames of obstype flat, there are 2" in out


def test_bad_data_is_exit_code_4_and_the_rest_is_measured(night: Path) -> None:
    (night / "broken.fits").write_bytes((night / "bias003.fits").read_bytes()[:4000])
    code, out, err = run("bias", night, "--instruments", night)
    assert code == 4
    assert "broken.fits" in err
    assert "read_noise" in out


def test_obstypes_may_be_given(night: Path) -> None:
    code, out, _ = run("dark", night, "--instruments", night, "--as", "flat*=dark", "--hot-sigma", "20", "--json")
    record = json.loads(out)
    roles = {Path(use["file"]).name: use["role"] for use in record["frames"]}
    assert roles["flat004.fits"] == "dark"
    assert code in {0, 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", "read_noise"), "is not NAME=LOW:HIGH"),
        (("--limit", "read_noise=3:2"), "is not NAME=LOW:HIGH"),
        (("--limit", "read_noise=nan:"), "is not NAME=LOW:HIGH"),
        (("--limit", "redd_noise=:3"), "no redd_noise here, but"),
        (("--as", "flat*=flatt"), "obstypes are"),
    ],
)
def test_mistakes_are_said(night: Path, arguments: tuple[str, ...], words: str) -> None:
    result = CliRunner().invoke(characterise, ["bias", str(night), "--instruments", str(night), *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_kind_has_help_with_its_options_and_examples(kind: str) -> None:
    result = CliRunner().invoke(characterise, [kind, "--help"])
    assert result.exit_code == 0
    assert "--explain" in result.output
    assert "nightferry characterise ptc" in result.output


def test_limits_of_the_fluence_are_parts_of_saturation(tmp_path: Path) -> None:
    tiny_night(tmp_path)
    _, out, _ = run("flat", tmp_path, "--json")
    records = [json.loads(line) for line in out.splitlines()]
    found = [q for record in records for q in record["quantities"] if q["name"] == "fluence"]
    assert found
    for quantity in found:
        low, high = quantity["limits"]
        assert (quantity["unit"], quantity["flag"]) == ("e-", "")
        assert low < 0.1 * quantity["value"] and high > 1.5 * quantity["value"]
