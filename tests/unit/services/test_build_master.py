"""`nightferry build-master`: groups of frames, the calibrations chosen for them, and what is said of it all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from processors.masters.build import read_master
from services.cli.main import cli
from services.cli.master_run import Sorted, choices
from tests.site import tiny_night
from tests.unit.processors import toy


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, ["build-master", *map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("night")
    tiny_night(directory, darks=3, dithers=3)
    return directory


@pytest.fixture(scope="module")
def masters(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masters of all kinds."""
    output = tmp_path_factory.mktemp("masters")
    for kind in ("bias", "dark", "flat", "badpix"):
        assert run(kind, night, output, "-o", output).return_value == 0
    return output


def only(directory: Path, kind: str) -> Path:
    (found,) = directory.glob(f"master_{kind}_*.fits")
    return found


def test_masters_of_all_kinds_calibrate_one_another(masters: Path) -> None:
    used = {
        kind: [given.role for given in read_master(only(masters, kind)).inputs if given.role != "frame"]
        for kind in ("bias", "dark", "flat", "badpix")
    }
    assert used == {"bias": [], "dark": ["bias"], "flat": ["bias", "dark"], "badpix": ["bias", "dark", "flat"]}


def test_a_record_says_what_went_in_and_why(night: Path, masters: Path, tmp_path: Path) -> None:
    done = run("flat", night, masters, "-o", tmp_path, "--json", "--explain", "--method", "median", "-j", 2)
    assert done.return_value == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    record = next(record for record in records if "product" in record)
    assert (record["kind"], record["filter"], len(record["inputs"])) == ("flat", "g", 3)
    assert record["calibrations"].keys() == {"bias", "dark"}
    assert record["sha256"].keys() == {*record["inputs"], *record["calibrations"].values()}
    assert {(c["role"], c["chosen"]) for c in record["explain"]} == {("bias", True), ("dark", True)}
    ignored = {r["ignored"] for r in records if "ignored" in r}
    assert {"obstype bias", "obstype science", "a product of kind flat"} <= ignored


def test_the_same_inputs_give_the_same_bytes_whatever_the_threads(night: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        run("bias", night, "-o", tmp_path / str(number), "-j", number)
    one, two = (only(tmp_path / str(number), "bias").read_bytes() for number in (1, 2))
    assert one == two


def test_a_master_without_its_bias_is_flagged(night: Path, tmp_path: Path) -> None:
    done = run("dark", night, "-o", tmp_path)
    assert "flags NOBIAS" in done.stdout
    assert "1 master in" in done.stderr


def test_a_file_that_is_no_frame_is_told_and_the_others_are_used(night: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.fits"
    bad.write_bytes(b"SIMPLE")
    done = run("bias", night, bad, "-o", tmp_path / "out", "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.return_value == 4
    assert [r["file"] for r in records if "error" in r] == [str(bad)]
    assert only(tmp_path / "out", "bias").exists()


def test_no_frames_of_the_kind_are_an_error(night: Path, tmp_path: Path) -> None:
    done = run("skyflat", night, "-o", tmp_path)
    assert done.return_value == 4
    assert "no frames for a master skyflat among these" in done.stderr


def test_one_exposure_twice_counts_once(night: Path, tmp_path: Path) -> None:
    first = min(night.glob("*.fits"))
    twin = tmp_path / "twin.fits"
    twin.write_bytes(first.read_bytes())
    done = run("bias", night, twin, "-o", tmp_path / "out")
    assert done.return_value == 4
    assert f"the same exposure as {first}" in done.stderr
    assert len(read_master(only(tmp_path / "out", "bias")).inputs) == 3


@pytest.mark.parametrize("arguments", [("moon", "x.fits"), ("bias", "x.fits", "--low", "0.5"), ("bias",)])
def test_wrong_usage_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["build-master", *arguments, "-o", str(tmp_path)])
    assert done.exit_code == 2


def test_help_shows_examples() -> None:
    done = CliRunner().invoke(cli, ["build-master", "--help"])
    assert "nightferry build-master bias night/*.fits -o masters" in done.stdout


def test_groups_whose_names_differ_by_signs_only_do_not_overwrite_each_other(tmp_path: Path) -> None:
    known = toy.instruments(tmp_path)
    frames = [
        toy.frame(tmp_path / f"raw{n}.fits", known, 9000.0, n, EXPNUM=n, OBSTYPE="dome", EXPTIME=3.0, FILTER=name)
        for n, name in enumerate(["r*", "r'", "R*"])
    ]
    names = [choice.name for choice in choices("flat", Sorted(frames=frames), 30.0)]
    assert len({name.casefold() for name in names}) == 3
    assert sum(name.endswith(("_2", "_3")) for name in names) == 2
