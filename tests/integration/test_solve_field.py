"""astrometry.net's solve-field as we call it: the real one where it is installed, and programs that misbehave."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from processors.astrometry.plane import ImagePlane
from processors.astrometry.solve_field import solve_field
from processors.astrometry.stars import Stars, find_stars
from processors.errors import NoSolution
from processors.fits import read_image
from processors.header import read_headers

_PLACES = np.random.default_rng(1).uniform(0, 700, (2, 60))
DOTS = Stars(_PLACES[0], _PLACES[1], np.arange(60.0)[::-1])


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index-1.fits").write_bytes(b"")
    return tmp_path / "index"


def program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fake-solve-field"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def solve(
    program: Path | str, index_dir: Path, tmp_path: Path, stars: Stars = DOTS, seconds: float = 20.0
) -> ImagePlane:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return ImagePlane.of(solve_field(program, stars, (700, 700), index_dir, scratch, seconds=seconds), (700, 700))


def test_a_raw_frame_is_solved_blind(shared_data: Path, tmp_path: Path) -> None:
    """PANOPTES, expected at 303.2101 +46.0192 and 10.3 arcsec/px; nobody tells where it looks."""
    if shutil.which("solve-field") is None or shutil.which("build-astrometry-index") is None:
        pytest.fail("astrometry.net is not installed: run deploy/install/test-servers.sh")
    stars = shared_data / "stars" / "panoptes"
    index = tmp_path / "index"
    index.mkdir()
    subprocess.run(
        ["build-astrometry-index", "-i", stars / "tycho2_r1.6deg.fits", "-o", index / "index-tycho.fits",
         "-P", "6", "-S", "MAG_VT", "-E", "-A", "RA", "-D", "DEC", "-I", "1", "-t", tmp_path],
        check=True, capture_output=True, timeout=100, cwd=tmp_path,
    )  # fmt: skip
    frame = stars / "unsolved.fits"

    plane = solve("solve-field", index, tmp_path, find_stars(read_image(frame, read_headers(frame)[0])), 60.0)

    assert plane.tangent.ra_deg == pytest.approx(303.2101, abs=0.004)
    assert plane.tangent.dec_deg == pytest.approx(46.0192, abs=0.002)
    assert plane.scale_deg * 3600 == pytest.approx(10.31, abs=0.02)


def test_a_program_that_hangs_is_stopped_with_its_children(index_dir: Path, tmp_path: Path) -> None:
    hanging = program(tmp_path, f"sleep 60 &\necho $! > {tmp_path}/child\nwait")

    with pytest.raises(NoSolution, match="within 1 s"):
        solve(hanging, index_dir, tmp_path, seconds=1.0)

    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    deadline = time.monotonic() + 10
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    "text,reason",
    [
        ("exit 3", "ended with 3"),
        ("echo ERROR: no engine; exit 255", "ended with 255: ERROR: no engine"),
        ("echo did not solve", "found no solution for 60 stars"),
        ("echo hello > stars.wcs", "cannot be read"),
        ("printf 'SIMPLE  =' > stars.wcs", "cannot be read"),
    ],
)
def test_a_program_that_fails_is_named(index_dir: Path, tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(NoSolution, match=reason):
        solve(program(tmp_path, text), index_dir, tmp_path)


def test_what_is_missing_is_named(index_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(NoSolution, match="cannot be started"):
        solve(tmp_path / "nothing", index_dir, tmp_path)
    (index_dir / "index-1.fits").unlink()
    with pytest.raises(NoSolution, match="no index files"):
        solve_field("solve-field", DOTS, (700, 700), index_dir, tmp_path / "scratch")
