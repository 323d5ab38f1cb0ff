"""A simulated night through `nightferry reduce` with a catalogue: what went into it is asked back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from processors.fits import read_image
from processors.header import read_headers
from processors.planes import Mask
from processors.simulator.night import simulate_night
from processors.simulator.options import NightOptions
from services.cli.reduce import reduce

SEEDS = [pytest.param(seed, marks=[] if seed < 3 else [pytest.mark.slow]) for seed in range(20)]


@pytest.fixture
def night(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A night of one detector and two science frames, its truth and its catalogue beside it."""
    options = NightOptions(
        seed=request.param, detectors=1, width=512, height=768, biases=5, darks=0, flats=5, standards=0, dithers=2,
        targets=1, filters=("r",), hk=False,
    )  # fmt: skip
    for _ in simulate_night(tmp_path / "night", options, truth=tmp_path / "truth"):
        pass
    import fitsio

    stars = fitsio.read(str(tmp_path / "truth" / "truth_stars.fits"), ext="STARS")
    _, first = np.unique(stars["star"], return_index=True)
    rows = [f"{star['ra']:.9f},{star['dec']:.9f},{star['magnitude']:.5f}" for star in stars[first]]
    (tmp_path / "stars.csv").write_text("\n".join(["ra,dec,rmag", *rows]) + "\n")
    return tmp_path


def reduced(night: Path, *more: str) -> list[dict[str, Any]]:
    """Records of the science frames."""
    arguments = [str(night / "night"), "-o", str(night / "out"), "--no-preview", "--json", *more]
    ended = CliRunner().invoke(reduce, arguments, standalone_mode=False)
    assert ended.return_value == 0, ended.output
    records = [json.loads(line) for line in ended.stdout.splitlines()]
    return [record for record in records if record["kind"] == "reduced"]


@pytest.mark.parametrize("night", SEEDS, indirect=True)
def test_seeing_place_zero_point_and_cosmic_rays_come_back(night: Path) -> None:
    import fitsio

    frames = json.loads((night / "truth" / "truth.json").read_text())["frames"]
    truth = {frame["identity"]["expid"]: frame for frame in frames}
    cosmics = fitsio.read(str(night / "truth" / "truth_stars.fits"), ext="COSMICS")
    records = reduced(night, "--catalogue", str(night / "stars.csv"))
    assert len(records) == 2
    for record in records:
        headers = read_headers(record["product"])
        expid, (measures,) = int(headers[0]["NFEXPID"]), record["measures"]
        assert measures["fwhm_px"] == pytest.approx(truth[expid]["exposure"]["psf"]["fwhm_px"], rel=0.05)
        assert measures["wcs_matched"] > 15
        assert measures["wcs_rms_arcsec"] < 0.15
        detector = truth[expid]["detectors"][0]
        # a flat is 1 on average: the detector's mean response stays in the zero point
        zero = detector["zero_point"] + 2.5 * math.log10(detector["response_mean"])
        kron = any("Kron" in reason for reason in measures["reasons"])
        assert measures["zero_point"] == pytest.approx(zero, abs=0.06 if kron else 0.025)
        assert measures["zero_point_stars"] > 10
        _ask_cosmics(record["product"], headers, cosmics[cosmics["expid"] == expid])


def _ask_cosmics(product: str, headers: Any, struck: Any) -> None:
    """Of ten rays of 500 e- and more one may be missing in the mask; hot pixels are in it too, but little else."""
    mask = read_image(product, next(h for h in headers if str(h.get("EXTNAME")).endswith("-MASK")))
    found = (mask & int(Mask.COSMIC)) != 0
    rows, columns = mask.shape
    inside = struck[(struck["electrons"] > 500)]
    inside = inside[(inside["x"] > 2) & (inside["x"] < columns - 3) & (inside["y"] > 2) & (inside["y"] < rows - 3)]
    places = zip(inside["x"].astype(int), inside["y"].astype(int), strict=True)
    missed = sum(not found[y - 2 : y + 3, x - 2 : x + 3].any() for x, y in places)
    assert missed <= max(1, 0.1 * len(inside))
    assert found.mean() < 0.02


@pytest.mark.parametrize("night", [7], indirect=True)
def test_threads_give_the_same_bytes(night: Path) -> None:
    catalogue = ("--catalogue", str(night / "stars.csv"))
    first = [Path(record["product"]).read_bytes() for record in reduced(night, *catalogue)]
    again = [Path(record["product"]).read_bytes() for record in reduced(night, *catalogue, "-j", "3")]
    assert first == again


@pytest.mark.parametrize("night", [4], indirect=True)
def test_explain_names_every_master_and_the_reason(night: Path) -> None:
    for record in reduced(night, "--explain", "--no-cosmics", "--no-quality"):
        assert {entry["role"]: entry["chosen"] for entry in record["explain"]} == {"bias": True, "flat": True}
        assert all(entry["reason"] for entry in record["explain"])
        assert record["measures"][0]["sky_e"] is None
        assert record["measures"][0]["cosmics"] is None
