"""Every odd file through `nightferry check`, alone and dressed up as a frame of a known camera."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Recognises whatever has a header, so that the odd pixels themselves are opened.
CAMERA = """
name: anything
site: {longitude_deg: 0}
recognise: [{cards: {SIMPLE: T}}]
identity:
  expid: {default: '1'}
  time: [{default: '2022-01-26T19:02:38'}]
  exptime_s: {default: '1'}
  obstypes: []
detectors: {layout: single, id: {default: '1'}, expected: ['1']}
amplifiers:
  - {name: A, data: '[1:4,1:3]', gain_e_adu: 1, read_noise_e: 1, saturation_adu: 65535}
"""


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", "check", "--json", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("folder", ["odd", "mosaic/lsst"])
def test_every_file_is_one_named_error(shared_data: Path, folder: str) -> None:
    files = sorted(str(path) for path in (shared_data / folder).rglob("*") if path.is_file())
    done = check(*files)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 4
    assert done.stderr == ""
    assert [record["file"] for record in records] == files
    assert all(set(record) == {"file", "error"} for record in records)


@pytest.mark.parametrize("folder", ["odd", "mosaic/lsst", "raw/msfc_esis"])
def test_odd_pixels_are_results_or_one_named_error(shared_data: Path, folder: str, tmp_path: Path) -> None:
    (tmp_path / "anything.yaml").write_text(CAMERA)
    files = sorted(str(path) for path in (shared_data / folder).rglob("*") if path.is_file())
    done = check("--instruments", str(tmp_path), *files)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 4 if any("error" in record for record in records) else 1
    assert done.stderr == ""
    told = {record["file"] for record in records}
    assert told == set(files)
    for path in files:
        errors = [record["error"] for record in records if record["file"] == path and "error" in record]
        results = [record for record in records if record["file"] == path and "check" in record]
        assert len(errors) == (0 if results else 1), path
        assert all("\n" not in error and len(error) < 300 for error in errors)


def test_pixels_that_are_nan_are_an_error_and_not_a_pass(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "anything.yaml").write_text(CAMERA)
    name = shared_data / "odd/astropy/hdu/compressed/tests/data/compressed_with_nan.fits"
    done = check("--instruments", str(tmp_path), str(name))
    assert done.returncode == 1
    verdicts = {record["check"]: record["verdict"] for record in map(json.loads, done.stdout.splitlines())}
    assert verdicts["bad_values"] == "error"
