"""Every odd file through `nightferry identify`: one clear line each, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("odd", "mosaic/lsst", "housekeeping")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_one_line(shared_data: Path, folder: str) -> None:
    files = sorted(str(path) for path in (shared_data / folder).rglob("*") if path.is_file())
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "identify", "--json", *files],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 4
    assert done.stderr == ""
    assert [record["file"] for record in records] == files
    for record in records:
        if record.get("instrument") == "lsst_ts":  # its headers are sound, its pixels are not
            continue
        assert set(record) == {"file", "error"}, record
        assert 5 < len(record["error"]) < 200, record
        assert "\n" not in record["error"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("odd/git_lfs_pointer_named_fits/raw.fits", "Git LFS pointer"),
        ("odd/astropy/tests/data/lzw.fits.Z", "Unix compress"),
        ("odd/astropy/wcs/siponly.hdr", "truncated: HDU 0 needs 33583232 bytes, the file has 28800"),
        ("odd/astropy/wcs/j94f05bgq_flt.fits", "INSTRUME='ACS'"),
        ("mosaic/lsst/MC_C_20240918_000013_R00_SG0_guider.fits", "INSTRUME='lsstCam'"),
        ("housekeeping/skab/other/10.csv", "not a FITS file"),
    ],
)
def test_the_reason_says_what_to_do(shared_data: Path, name: str, reason: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "identify", str(shared_data / name)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
