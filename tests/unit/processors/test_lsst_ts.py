"""Real files of the LSST test stand: sixteen amplifiers, of which one has pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.cards import Header
from processors.errors import BadFrame
from processors.fits import read_image
from processors.geometry import DetectorSetup, detector_setup
from processors.header import read_headers
from processors.identity import detector_headers
from processors.instrument import load_instruments
from processors.raw_image import raw_image

E2V, ITL = "201807241028453-RTM-010-S11-det067.fits", "3019053000001-R22-S00-det000.fits"


def opened(path: Path) -> tuple[tuple[Header, ...], DetectorSetup]:
    headers = tuple(read_headers(path))
    instrument = load_instruments().recognise(headers, path.name)
    assert instrument.name == "lsst_ts"
    ((detector, header),) = detector_headers(instrument.spec, headers, path.name).items()
    return headers, detector_setup(instrument.spec, detector, header, headers[0], headers)


@pytest.mark.parametrize(
    ("name", "detector", "shape", "night", "obstype"),
    [(E2V, "S11", (4004, 4096), "20180723", "flat"), (ITL, "S00", (4000, 4072), "20190530", "bias")],
)
def test_geometry_and_identity(
    shared_data: Path, name: str, detector: str, shape: tuple[int, int], night: str, obstype: str
) -> None:
    headers, setup = opened(shared_data / "mosaic" / "lsst" / name)
    assert (setup.detector, setup.shape, len(setup.amplifiers)) == (detector, shape, 16)
    identity = load_instruments().identify(headers, name)
    assert (identity.night, identity.obstype, identity.detectors, identity.flags) == (night, obstype, (detector,), ())


@pytest.mark.parametrize("name", [E2V, ITL])
def test_segments_that_hold_no_pixels_are_a_bad_frame(shared_data: Path, name: str) -> None:
    path = shared_data / "mosaic" / "lsst" / name
    headers, setup = opened(path)
    with pytest.raises(BadFrame, match=r"HDU 1 \(Segment10\): every pixel is 0, no image was written"):
        raw_image(lambda number: read_image(path, headers[number]), setup)


def test_the_one_segment_with_pixels_has_its_light_where_the_file_says(shared_data: Path) -> None:
    path = shared_data / "mosaic" / "lsst" / E2V
    headers, setup = opened(path)
    at = [amplifier.name for amplifier in setup.amplifiers].index("00")
    amplifier, tile = setup.amplifiers[at], setup.tiles[at]
    image = read_image(path, headers[tile.hdu])[:: -1 if tile.flip_y else 1, :: -1 if tile.flip_x else 1]
    y0, x0 = tile.raw.y0, tile.raw.x0
    assert amplifier.overscan is not None
    over = image[:, amplifier.overscan.x0 - x0 : amplifier.overscan.x1 - x0]
    level = np.median(over)
    assert level == pytest.approx(27026, abs=2)
    assert np.std(over - np.median(over, axis=1)[:, None]) == pytest.approx(6.4, abs=0.3)
    rows, columns = (slice(a - b, c - b) for a, c, b in (
        (amplifier.data.y0, amplifier.data.y1, y0), (amplifier.data.x0, amplifier.data.x1, x0),
    ))  # fmt: skip
    light = np.median(image[rows], axis=0) - level
    assert light[columns].min() > 5000
    outside = np.delete(light, np.r_[columns])
    assert outside.max() < 20
