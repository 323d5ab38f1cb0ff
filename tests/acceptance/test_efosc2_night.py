"""A real night of EFOSC2 at the NTT, against figures that were measured independently of this code."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processors.check_frame import check_open_frame, check_sequence, open_frame
from processors.fits import Frame, sha256_of
from processors.instrument import load_instruments
from processors.ptc import read_noise_from_pair

Products = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def night(shared_data: Path) -> Path:
    return shared_data / "raw/efosc2_ntt"


@pytest.fixture(scope="module")
def frames(night: Path) -> list[Frame]:
    known = load_instruments()
    return [open_frame(path, known) for path in sorted(night.iterdir())]


@pytest.fixture(scope="module")
def products(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Products:
    """What `nightferry reduce` makes of the night, by product."""
    output = tmp_path_factory.mktemp("products")
    done = run("reduce", str(night), "-o", str(output), "--json")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(record["product"]).name: record for record in records}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def of_kind(products: Products, kind: str) -> dict[str, Any]:
    return next(record for record in products.values() if record["kind"] == kind and record["filter"] in {"", "g"})


def plane(path: str | Path, name: str) -> NDArray[Any]:
    with fits.open(path) as hdus:
        return np.array(hdus[f"40-{name}"].data)


def reduced(products: Products, expid: int) -> dict[str, Any]:
    return next(record for name, record in products.items() if name.endswith(f"_{expid}.fits"))


def test_the_frames_are_what_the_log_says(frames: list[Frame]) -> None:
    kinds = [frame.identity.obstype for frame in frames]
    assert kinds == (
        ["bias"] * 5 + ["flat"] * 3 + ["arc"] + ["science"] * 2 + ["skyflat"] * 3 + ["science"] * 3 + ["standard"]
    )
    nights = [frame.identity.night for frame in frames]
    assert nights == ["20220126"] * 11 + ["20220127"] * 6 + ["20220128"]
    assert [f.identity.filter for f in frames[11:17]] == ["g"] * 6
    assert {(f.identity.filter, f.identity.slit) for f in frames[5:11]} == {("Gr#3", "slit#1.2")}
    sequence = frames[15].identity.sequence
    assert sequence is not None
    assert (sequence.num, sequence.total) == (4, 5)


def test_the_bias_level_drifts_from_219_to_223(frames: list[Frame]) -> None:
    levels = [float(np.median(frame.image(frame.setups[0]))) for frame in frames[:5]]
    assert levels[0] == pytest.approx(219, abs=1)
    assert levels[-1] == pytest.approx(223, abs=1)


def test_read_noise_is_close_to_ten_adu(frames: list[Frame]) -> None:
    """Within 0.4 ADU: the noise has tails and, from column to column, a pattern; its core alone is 10.1 ADU wide."""
    data = [frame.image(frame.setups[0])[1:1013, 4:1018].astype(float) for frame in frames[:5]]
    noises = [read_noise_from_pair(a, b) for a, b in pairwise(data)]
    assert noises == pytest.approx([10.0] * 4, abs=0.4)
    overscan = [r.value / 1.1 for f in frames[:5] for r in check_open_frame(f) if r.check == "read_noise"]
    assert overscan == pytest.approx([10.0] * 5, abs=0.5)


def test_the_gain_is_not_the_headers(frames: list[Frame]) -> None:
    """1.23 e-/ADU within 5 %: it falls from 1.24 at 3,000 ADU to 1.18 at the 37,000 ADU of the sky flats."""
    results = [result for result in check_sequence(frames) if result.check == "gain"]
    by_file = {Path(result.file).name: result for result in results}
    sky = by_file["EFOSC.2022-01-28T00:08:16.282.fits"]
    assert sky.value == pytest.approx(1.23, rel=0.05)
    assert (sky.verdict, sky.flag) == ("warning", "GAIN_OOL")
    assert "the header says 1.1" in sky.message
    assert len(results) == 2


def test_good_frames_raise_no_error(frames: list[Frame]) -> None:
    for frame in frames:
        assert {result.verdict for result in check_open_frame(frame)} == {"ok"}, frame.path.name


def test_masters_and_their_inputs(products: Products, night: Path) -> None:
    bias, flat = of_kind(products, "bias"), of_kind(products, "skyflat")
    assert len(bias["inputs"]) == 5
    assert bias["sha256"] == {name: sha256_of(night / name) for name in bias["inputs"]}
    assert len(flat["inputs"]) == 3
    assert flat["calibrations"] == {"bias": Path(bias["product"]).name}
    assert flat["rejected"] == bias["rejected"] == {}
    assert np.median(plane(flat["product"], "VALUE")) == pytest.approx(1, abs=0.01)


def test_masters_serve_across_nights_and_never_the_wrong_mode(products: Products) -> None:
    for expid in (19631, 19661, 19671):
        record = reduced(products, expid)
        assert record["night"] == "20220127"
        assert "bias_efosc2_20220126" in record["calibrations"]["bias"]
        assert "skyflat_efosc2_20220127_g" in record["calibrations"]["flat"]
        assert record["flags"] == []
    for expid in (17791, 17941):
        assert "master_flat_efosc2_20220126_Gr-3_slit-1.2" in reduced(products, expid)["calibrations"]["flat"]
    standard = reduced(products, 21591)  # slit#5.0, of which there is no flat
    assert standard["flags"] == ["NOFLAT"]


@pytest.mark.parametrize("expid", [19631, 19661, 19671])
def test_the_sky_is_flat_to_the_percent(products: Products, expid: int) -> None:
    """Medians of 81 boxes of 100 x 100 pixels, the outermost 56 left out, scatter by 0.9 % (raw: 1.9 %)."""
    sci, mask = plane(reduced(products, expid)["product"], "SCI"), plane(reduced(products, expid)["product"], "MASK")
    sky = np.where(mask == 0, sci, np.nan)[56:956, 56:956]
    boxes = np.nanmedian(sky.reshape(9, 100, 9, 100), axis=(1, 3))
    assert boxes.std() / boxes.mean() < 0.01
    assert 1.1 * 370 < np.median(boxes) < 1.1 * 400


def test_the_noise_of_the_sky_is_what_the_variance_says(products: Products) -> None:
    """Between neighbouring rows, within 12 %: 6 % more, as the header's read noise of 7.8 e- is too small."""
    product = reduced(products, 19631)["product"]
    sci, var, mask = (plane(product, name)[300:700, 100:300] for name in ("SCI", "VAR", "MASK"))
    difference = (sci[1:] - sci[:-1])[(mask[1:] | mask[:-1]) == 0]
    measured = 1.4826 * np.median(np.abs(difference - np.median(difference))) / np.sqrt(2)
    assert measured == pytest.approx(np.sqrt(np.median(var)), rel=0.12)


def test_a_reduced_frame_is_that_of_ccdproc(products: Products, night: Path) -> None:
    """Within 0.02 e- or 1e-4 in every good pixel: float32 here, double precision there, the same masters."""
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    record = reduced(products, 19631)
    calibrations = {
        role: CCDData(plane(products[name]["product"], "VALUE").astype(float), unit="adu" if role == "bias" else "")
        for role, name in record["calibrations"].items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ccd = CCDData.read(night / record["inputs"][0], unit="adu")
        level = float(np.median(ccd.data[1026:1030, 4:1018]))
        ccd = ccdproc.trim_image(ccd[1:1013, 4:1018])
        ccd = ccd.subtract(level * u.adu)
        ccd = ccdproc.subtract_bias(ccd, calibrations["bias"])
        ccd = ccdproc.gain_correct(ccd, 1.1 * u.electron / u.adu)
        ccd = ccdproc.flat_correct(ccd, calibrations["flat"], norm_value=1.0)
    sci, mask = plane(record["product"], "SCI"), plane(record["product"], "MASK")
    good = mask == 0
    assert good.mean() > 0.99
    np.testing.assert_allclose(sci[good], ccd.data[good], rtol=1e-4, atol=0.02)


def test_every_product_verifies_and_has_a_preview(products: Products) -> None:
    assert len(products) == 12
    for record in products.values():
        with fits.open(record["product"], checksum=True) as hdus:  # a wrong sum warns, and warnings are errors
            hdus.verify("exception")
        if record["kind"] != "spectrum":
            assert Path(record["preview"]).stat().st_size > 10_000


def test_seeing_and_sky_of_the_images(products: Products) -> None:
    """Moffat fits give 0.97 to 1.05 arcsec, the DIMM 0.95 to 1.19 (isophotal widths of faint sources 0.72 to 0.89)."""
    images = [record for record in products.values() if record["kind"] == "reduced" and record["filter"] == "g"]
    assert len(images) == 3
    for record in images:
        (measures,) = record["measures"]
        assert 0.95 < measures["seeing_arcsec"] < 1.10
        assert measures["ellipticity"] < 0.1
        assert measures["sky_e"] == pytest.approx(422, rel=0.03)
        assert 20 < measures["cosmics"] < 300


def test_measured_gains_stand_in_for_those_of_the_header(products: Products, night: Path, tmp_path: Path) -> None:
    files = [night / name for kind in ("bias", "skyflat") for name in of_kind(products, kind)["inputs"]]
    measured = run("characterise", "ptc", *map(str, files), "--json")
    (tmp_path / "gains").write_text(measured.stdout)
    (image,) = [r for r in products.values() if r["kind"] == "reduced" and r["product"].endswith("19661.fits")]
    used = [*files, night / image["inputs"][0]]
    done = run(
        "reduce", *map(str, used), "-o", str(tmp_path / "out"), "--no-preview", "--json", "--gains",
        str(tmp_path / "gains"),
    )  # fmt: skip
    again = next(record for record in map(json.loads, done.stdout.splitlines()) if record["kind"] == "reduced")
    assert fits.getheader(again["product"])["NFGAINS"] == "40"
    assert again["measures"][0]["sky_e"] / image["measures"][0]["sky_e"] == pytest.approx(1.1835 / 1.1, rel=0.003)


def test_spectra_have_wavelengths_and_say_what_is_odd(products: Products) -> None:
    spectra = {r["product"][-10:-5]: r for r in products.values() if r["kind"] == "spectrum"}
    assert set(spectra) == {"17791", "17941", "21591"}
    for expid, least in (("17791", 4), ("17941", 12), ("21591", 80)):
        assert spectra[expid]["wavelength_rms_a"] < 0.6
        assert spectra[expid]["signal_to_noise"] > least
    assert spectra["21591"]["flags"] == ["NOFLAT", "ARCSLIT", "NOSKYLINES"]


def test_reducing_again_gives_the_same_bytes(products: Products, night: Path, tmp_path: Path) -> None:
    biases = [str(night / name) for name in of_kind(products, "bias")["inputs"]]
    done = run("reduce", *biases, "-o", str(tmp_path), "--no-preview", "--json")
    again = json.loads(done.stdout)
    assert sha256_of(again["product"]) == sha256_of(of_kind(products, "bias")["product"])


def test_bad_files_among_good_ones_are_told_and_the_rest_is_reduced(
    night: Path, shared_data: Path, tmp_path: Path
) -> None:
    science = night / "EFOSC.2022-01-28T04:54:24.341.fits"
    twin = tmp_path / "copy.fits"
    twin.write_bytes(science.read_bytes())
    broken = shared_data / "odd/git_lfs_pointer_named_fits/raw.fits"
    done = run("reduce", str(broken), str(science), str(twin), "-o", str(tmp_path / "out"))
    assert done.returncode == 4
    assert "Git LFS pointer" in done.stderr
    assert "the same exposure as" in done.stderr
    assert "flags NOBIAS NOFLAT" in done.stdout
    assert "1 product in" in done.stderr
    assert "Traceback" not in done.stderr
