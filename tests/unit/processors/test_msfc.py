"""Real frames of a camera with four taps: where its pixels lie, gains and read noises from the LED and dark pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.check_frame import open_frame
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.isr.signature import remove_signature
from processors.planes import Mask
from processors.ptc import gain_from_pair, read_noise_from_pair

TAPS = ("1", "2", "3", "4")
# as measured by others; they clip at 3 σ and do not correct for it, see docs/instruments.md
PUBLISHED = {"1": 2.66, "2": 2.55, "3": 2.61, "4": 2.75}


@pytest.fixture(scope="module")
def frames(shared_data: Path) -> dict[str, Frame]:
    directory, known = shared_data / "raw" / "msfc_esis", load_instruments()
    return {path.name[:11]: open_frame(path, known) for path in sorted(directory.rglob("*.fit.gz"))}


def taps(frame: Frame) -> dict[str, Any]:
    """Pixels of each tap above its overscan, ADU."""
    (setup,) = frame.setups
    made = remove_signature(frame.image(setup), setup)
    return {a.name: made.sci[a.trimmed.slices] / np.float32(a.gain_e_adu) for a in setup.amplifiers}


def test_identity_and_shape(frames: dict[str, Frame]) -> None:
    assert len(frames) == 13
    led = frames["ESIS1_04803"]
    assert (led.identity.night, led.identity.expid, led.identity.detectors) == ("20170712", 4803, ("ESIS1",))
    assert led.setups[0].shape == (1040, 2048)
    assert frames["ESIS3_05400"].identity.detectors == ("ESIS3",)


def test_read_noise_and_gain_of_each_tap(frames: dict[str, Frame]) -> None:
    darks = [taps(frames[name]) for name in ("ESIS1_04860", "ESIS1_04861")]
    lights = [taps(frames[name]) for name in ("ESIS1_04803", "ESIS1_04804")]
    for name in TAPS:
        noise = read_noise_from_pair(darks[0][name], darks[1][name])
        assert 3.8 <= noise <= 4.3  # ADU
        dark = (darks[0][name] + darks[1][name]) / 2
        rows = slice(8, None) if name in "12" else slice(0, -9)
        measured = gain_from_pair((lights[0][name] - dark)[rows], (lights[1][name] - dark)[rows], noise)
        setup = {a.name: a for a in frames["ESIS1_04803"].setups[0].amplifiers}[name]
        assert measured.value == pytest.approx(setup.gain_e_adu, rel=0.01)
        assert measured.value == pytest.approx(PUBLISHED[name], rel=0.09)
        assert noise * measured.value == pytest.approx(setup.read_noise_e, rel=0.02)


def test_the_light_ends_where_the_sections_do(frames: dict[str, Frame]) -> None:
    (setup,) = frames["ESIS1_04803"].setups
    raw = frames["ESIS1_04803"].image(setup).astype(np.float64)
    for a in setup.amplifiers:
        y = slice(a.data.y0 + 20, a.data.y1 - 20)
        assert a.overscan is not None
        blank = np.median(raw[y, a.overscan.x0 : a.overscan.x1])
        edges = np.median(raw[y, [a.data.x0, a.data.x1 - 1]], axis=0) - blank
        beyond = np.median(raw[y, [a.data.x0 - 1, a.data.x1]], axis=0) - blank
        assert edges.min() > 5000
        assert np.abs(beyond).max() < 60


def test_darks_are_flat_to_an_adu_and_the_masked_rows_bad(frames: dict[str, Frame]) -> None:
    frame = frames["ESIS1_04860"]
    (setup,) = frame.setups
    made = remove_signature(frame.image(setup), setup)
    for a in setup.amplifiers:
        assert abs(np.median(made.sci[a.trimmed.slices])) / a.gain_e_adu < 1.0
    bad = (made.mask & Mask.BAD) != 0
    assert np.flatnonzero(bad.all(axis=1)).tolist() == [*range(8), *range(1031, 1040)]
    assert max(made.overscan_step_adu) < 6  # no step
