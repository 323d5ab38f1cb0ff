"""The numbers behind the checks (drift, lines, ghosts, borders, positions): truth over seeds, and real frames."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.cards import Header
from processors.check_frame import check_open_frame, open_frame
from processors.checks.amplifiers import border
from processors.checks.crosstalk import measure_ghost
from processors.checks.drift import check_drift, deviation, watched_values
from processors.checks.pattern_noise import spectral_lines
from processors.checks.pointing import angle_deg, centre_deg
from processors.fits import Frame
from processors.geometry import Amplifier, DetectorSetup
from processors.identity import FrameIdentity
from processors.instrument import load_instruments
from processors.planes import Mask
from processors.section import Section


def test_a_score_is_what_was_put_in() -> None:
    """20 seeds: a value 10 σ off scores 10 ± 5 against 20 earlier ones, a usual one less than 6."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        before = list(rng.normal(2000, 5, 20))
        far, near = deviation(2050.0, before), deviation(float(rng.normal(2000, 5)), before)
        assert far is not None
        assert near is not None
        assert 5 < far.score < 20
        assert abs(near.score) < 6
        assert far.median == pytest.approx(2000, abs=5)


def test_few_values_tell_nothing_and_steady_ones_are_no_alarm() -> None:
    assert deviation(5.0, [1.0] * 4) is None
    assert deviation(5.0, [1.0, 1.0, 1.0, 1.0, math.nan]) is None
    steady = deviation(1000.5, [1000.0] * 10)
    assert steady is not None
    assert abs(steady.score) < 1
    step = deviation(1.0, [2.0] * 10, least=0.5)
    assert step is not None
    assert step.score == -2
    lost = deviation(math.nan, [2.0] * 10)
    assert lost is not None
    assert math.isnan(lost.score)


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=30), st.floats(-1e6, 1e6))
def test_a_score_is_a_number_for_all_numbers(before: list[float], value: float) -> None:
    found = deviation(value, before)
    assert found is not None
    assert math.isfinite(found.score)
    assert found.scatter > 0


def test_drift_takes_the_worst_of_an_amplifier(shared_data: Path) -> None:
    frames = efosc2(shared_data)[:5]
    results = check_open_frame(frames[4])
    values = dict(watched_values(frames[4], results))
    assert ("overscan_level", "40", "L") in values
    history = {place: [value * (1 + 0.003 * n) for n in (-2, -1, 0, 1, 2)] for place, value in values.items()}
    (usual,) = check_drift(frames[4], results, history)
    assert (usual.check, usual.amplifier, usual.verdict, usual.flag) == ("drift", "L", "ok", "")
    history["overscan_level", "40", "L"] = [180.0, 181.0, 180.5, 180.0, 179.5]
    (drifted,) = check_drift(frames[4], results, history)
    assert (drifted.verdict, drifted.flag, drifted.limits) == ("error", "DRIFT", (-30, 30))
    assert drifted.message.startswith("overscan_level 224 adu, the last 5 180 ±")
    assert list(check_drift(frames[4], results, {})) == []


@pytest.mark.parametrize("columns", [48, 512])
def test_lines_are_found_where_they_are_and_nowhere_else(columns: int) -> None:
    """20 seeds: 1 σ amplitude within 10 %, frequency within one channel; white noise with structure has none."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        white = rng.normal(1000, 4, (600, columns)) + rng.normal(0, 30, columns) + rng.normal(0, 9, (600, 1))
        assert spectral_lines(np.rint(white)) == []
        frequency = rng.uniform(0.12, 0.42)
        phase = rng.uniform(0, 2 * np.pi, (600, 1))
        hum = 4 * np.sin(2 * np.pi * frequency * np.arange(columns) + phase)
        lines = spectral_lines(np.rint(white + hum))
        assert len(lines) >= 1
        assert lines[0].frequency == pytest.approx(frequency, abs=1.01 / columns)
        assert lines[0].amplitude == pytest.approx(4, rel=0.1)


def test_ghosts_are_measured() -> None:
    """20 seeds: a coefficient of 0.001 within 4 of its errors, on a sky with a slope."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        aggressor = rng.normal(500, 20, (300, 200)).astype(np.float32)
        mask, none = np.zeros((300, 200), np.uint16), np.zeros((300, 200), np.uint16)
        for y, x in rng.integers(30, 160, (12, 2)):
            aggressor[y : y + 4, x : x + 4] = 200_000
            mask[y : y + 4, x : x + 4] = Mask.SATURATED
        slope = np.arange(200, dtype=np.float32)
        sky = (rng.normal(500, 20, (300, 200)) + slope).astype(np.float32)
        ghost = measure_ghost(aggressor, mask, sky + np.float32(0.001) * aggressor * (mask > 0), none)
        assert ghost is not None
        assert abs(ghost.coefficient - 0.001) < 4 * ghost.error
        nothing = measure_ghost(aggressor, mask, sky, none)
        assert nothing is not None
        assert abs(nothing.coefficient) < 4.5 * nothing.error
    assert measure_ghost(aggressor, none, sky, none) is None


def test_borders() -> None:
    left, right, above = Section(0, 100, 0, 50), Section(100, 200, 0, 50), Section(0, 100, 50, 100)
    assert border(left, right) == (Section(76, 100, 0, 50), Section(100, 124, 0, 50))
    assert border(right, left) == (Section(100, 124, 0, 50), Section(76, 100, 0, 50))
    assert border(left, above) == (Section(0, 100, 26, 50), Section(0, 100, 50, 74))
    assert border(above, left) == (Section(0, 100, 50, 74), Section(0, 100, 26, 50))
    assert border(right, above) is None


@pytest.mark.parametrize(
    ("text", "unit", "degrees"),
    [("03:32:30.0", 15, 53.125), ("-27:30:00", 1, -27.5), ("-00:30:00", 1, -0.5), (12.5, 15, 12.5), ("12.5", 15, 12.5)],
)
def test_angles(text: str | float, unit: float, degrees: float) -> None:
    assert angle_deg(text, unit) == pytest.approx(degrees)


@given(st.text(max_size=20))
def test_angles_of_anything(text: str) -> None:
    assert isinstance(angle_deg(text, 15), float)


def test_the_middle_of_a_detector_is_that_of_astropy() -> None:
    from astropy.wcs import WCS

    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.1, "CRVAL2": -27.8, "CRPIX1": -400.0,
             "CRPIX2": 700.5, "CD1_1": -7e-5, "CD1_2": 1e-6, "CD2_1": 2e-6, "CD2_2": 7.1e-5}  # fmt: skip
    text = "".join(f"{key:<8}= {value!r:>20}".ljust(80) for key, value in cards.items()).replace('"', "'")
    section = Section(10, 1010, 0, 500)
    amplifier = Amplifier("A", section, None, False, 1, 1, 1e5, Section(0, 1000, 0, 500))
    ra, dec = centre_deg(Header(text, 0, 0), DetectorSetup("1", 0, (amplifier,), (500, 1000), ()))
    expected = WCS(cards).all_pix2world([[510.5, 250.5]], 1)[0]
    assert (ra, dec) == pytest.approx(expected, abs=1e-9)


def efosc2(shared_data: Path) -> list[Frame]:
    known = load_instruments()
    return [open_frame(path, known) for path in sorted((shared_data / "raw/efosc2_ntt").iterdir())]


def test_efosc2_is_what_it_is(shared_data: Path) -> None:
    """All 18 frames pass; seeing, pick-up and pointing of a real camera."""
    for frame in efosc2(shared_data):
        results = {result.check: result for result in check_open_frame(frame)}
        assert {result.verdict for result in results.values()} == {"ok"}, frame.path.name
        assert results["checksum"].message == "1 HDUs agree with their sums"
        if frame.identity.obstype == "bias":
            # scipy's periodogram has 3.18 ADU there
            assert results["pattern_noise"].value / 1.1 == pytest.approx(3.18, rel=0.06)
            assert "at 0.4527 cycles/px" in results["pattern_noise"].message
        if frame.identity.filter == "g" and frame.identity.obstype == "science":
            assert 0.9 < results["seeing"].value < 1.1
            assert results["ellipticity"].value < 0.06
            assert results["pointing"].value == pytest.approx(4.8, abs=0.1)


def test_efosc2_frames_that_are_called_something_else(shared_data: Path) -> None:
    """A sky flat that claims to be a bias, a bias that claims to be a flat, a bias that claims to be of the sky."""
    from dataclasses import replace

    frames = efosc2(shared_data)
    bias, flat = frames[0], frames[11]

    def flags(frame: Frame, obstype: str, exptime_s: float = 0.0) -> set[str]:
        identity = replace(frame.identity, obstype=obstype, exptime_s=exptime_s)  # type: ignore[arg-type]
        claimed = replace(frame, identity=identity)
        return {result.flag for result in check_open_frame(claimed) if result.verdict == "error"}

    assert {"EXPTYPE", "BGD_OOL"} <= flags(flat, "bias")
    assert {"EXPTYPE", "FLUENCE_OOL"} <= flags(bias, "flat", 3.0)
    assert {"FLUX_OOL", "POORQUALDATA"} <= flags(bias, "science", 180.0)


def test_broken_sums_of_a_real_file(shared_data: Path) -> None:
    """Segments of the LSST test stand that were cut out of the file still have the sums of their pixels."""
    from types import SimpleNamespace

    from processors.checks.checksum import check_checksum
    from processors.header import read_headers

    path = shared_data / "mosaic/lsst/201807241028453-RTM-010-S11-det067.fits"
    frame = SimpleNamespace(path=path, headers=read_headers(path))
    (result,) = check_checksum(frame)  # type: ignore[arg-type]
    assert (result.verdict, result.flag) == ("error", "CHECKSUM")
    assert "DATASUM of Segment10" in result.message
    assert "Segment00" not in result.message


def test_limits_may_hold_for_some_filters_only() -> None:
    from dataclasses import replace

    from processors.instrument import Instrument, load_instruments
    from processors.instrument_schema import Limit

    simcam = load_instruments().named("simcam")
    one, other = (
        Limit.model_validate({"from": "2020-01-01", "warning": [0, high], "filters": names})
        for high, names in ((1, ["g"]), (2, None))
    )
    spec = simcam.spec.model_copy(update={"checks": {"sky_level": (one, other)}})
    limits = {name: Instrument(spec).limit("sky_level", replace(_identity(), filter=name)) for name in ("g", "r")}
    assert limits["r"] == other
    assert limits["g"] == one


def _identity() -> FrameIdentity:
    return FrameIdentity(
        instrument="simcam", night="20260115", expid=1, detectors=("1",), obstype="science", exptime_s=60.0,
        filter="g", object="", date_obs="2026-01-16T01:00:00", sequence=None, mode="imaging", readout="",
        expected_detectors=1,
    )  # fmt: skip
