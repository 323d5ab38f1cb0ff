"""Detectors whose amplifiers have an HDU each: every pixel at its place, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from processors.errors import BadFrame
from processors.fits import read_image
from processors.geometry import DetectorSetup, detector_setup
from processors.header import read_headers
from processors.identity import detector_headers
from processors.instrument import load_instruments
from processors.isr.signature import remove_signature
from processors.raw_image import raw_image

WIDTH, HEIGHT, PRE, OVER, ABOVE = 12, 20, 3, 60, 4
SHAPE = (2 * HEIGHT, 8 * WIDTH)
NAMES = [f"1{n}" for n in range(8)] + [f"0{n}" for n in range(8)]


def place_of(name: str) -> str:
    """DETSEC in the manner of e2v: the lower row runs backwards in x, the upper one in y."""
    upper, number = name[0] == "0", int(name[1])
    left, right = number * WIDTH + 1, (number + 1) * WIDTH
    if upper:
        return f"[{left}:{right},{2 * HEIGHT}:{HEIGHT + 1}]"
    return f"[{right}:{left},1:{HEIGHT}]"


def write(path: Path, truth: Any, change: dict[str, dict[str, Any]] | None = None, skip: str = "") -> Path:
    """A file of the test stand, small: a level of its own for each amplifier, gain 0.7."""
    primary = fits.PrimaryHDU()
    cards = {
        "TSTAND": "TS8",
        "LSST_NUM": "E2V-CCD250-1",
        "IMAGETAG": "1532428125342",
        "IMGTYPE": "FLAT",
        "EXPTIME": 2.0,
    }
    for key, value in {**cards, "DATE-OBS": "2018-07-24T10:28:45.342", "CCDSLOT": "S11"}.items():
        primary.header[key] = value
    hdus: list[Any] = [primary]
    for number, name in enumerate(NAMES):
        if name == skip:
            continue
        upper, x0 = name[0] == "0", int(name[1]) * WIDTH
        y0 = HEIGHT if upper else 0
        part = truth[y0 : y0 + HEIGHT, x0 : x0 + WIDTH]
        part = part[::-1] if upper else part[:, ::-1]
        image = np.full((HEIGHT + ABOVE, PRE + WIDTH + OVER), 1000 + 10 * number, np.int32)
        image[0, -1] += 1
        image[:HEIGHT, PRE : PRE + WIDTH] += np.rint(part / 0.7).astype(np.int32)
        hdu = fits.ImageHDU(image, name=f"Segment{name}")
        hdu.header["DATASEC"] = f"[{PRE + 1}:{PRE + WIDTH},1:{HEIGHT}]"
        hdu.header["DETSEC"] = place_of(name)
        for key, value in (change or {}).get(name, {}).items():
            if value is None:
                del hdu.header[key]
            elif key == "data":
                hdu.data = value
            else:
                hdu.header[key] = value
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def opened(path: Path) -> DetectorSetup:
    """The geometry by the built-in file, but for its overscan section, which is that of the real, larger images."""
    headers = read_headers(path)
    spec = load_instruments().recognise(headers, path.name).spec
    over = f"[{PRE + WIDTH + 1}:{PRE + WIDTH + OVER},1:{HEIGHT + ABOVE}]"
    small = tuple(amplifier.model_copy(update={"overscan": over}) for amplifier in spec.amplifiers)
    spec = spec.model_copy(update={"amplifiers": small})
    ((name, header),) = detector_headers(spec, headers, path.name).items()
    return detector_setup(spec, name, header, headers[0], headers)


def pixels(path: Path, setup: DetectorSetup) -> Any:
    headers = read_headers(path)
    return raw_image(lambda number: read_image(path, headers[number]), setup)


def truth() -> Any:
    return np.random.default_rng(1).integers(0, 40000, SHAPE) * 0.7


def test_every_pixel_comes_to_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", truth())
    setup = opened(path)
    assert (setup.detector, setup.shape, len(setup.tiles)) == ("S11", SHAPE, 16)
    made = remove_signature(pixels(path, setup), setup)
    np.testing.assert_allclose(made.sci, truth(), atol=0.01)
    assert dict(zip((a.name for a in setup.amplifiers), made.overscan_adu, strict=True)) == {
        name: 1000 + 10 * number for number, name in enumerate(NAMES)
    }


def test_the_corner_read_first_turns_with_the_image(tmp_path: Path) -> None:
    corners = {a.name: a.first_read for a in opened(write(tmp_path / "a.fits", truth())).amplifiers}
    assert corners["10"] == "lower_right"
    assert corners["00"] == "upper_left"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"13": {"DETSEC": None}}, "detector S11: no DETSEC card in HDU Segment13"),
        ({"13": {"DATASEC": None}}, "no DATASEC card"),
        ({"13": {"DETSEC": "[48:37,5:24]"}}, "overlap|line up|hole"),
        ({"13": {"DETSEC": "[48:37,1:0]"}}, "impossible section"),
        ({"13": {"DETSEC": "somewhere"}}, "not a section"),
        ({"13": {"DATASEC": "[4:14,1:20]"}}, "do not fit the place"),
        ({"13": {"DATASEC": "[4:400,1:20]"}}, "leaves HDU"),
        ({"13": {"EXTNAME": "Segment12"}}, "no HDU Segment13"),
        ({"13": {"data": np.ones((30, 75), np.int32)}}, "line up|overlap"),
        ({"13": {"data": np.ones((5, 5, 5, 5), np.int32)[0, 0, 0]}}, "no image|leaves"),
    ],
)
def test_headers_that_do_not_fit_together_are_a_bad_frame(
    tmp_path: Path, change: dict[str, dict[str, Any]], message: str
) -> None:
    path = write(tmp_path / "a.fits", truth(), change)
    with pytest.raises(BadFrame, match=message):
        opened(path)


def test_a_missing_segment_is_a_bad_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", truth(), skip="05")
    with pytest.raises(BadFrame, match="detector S11: no HDU Segment05"):
        opened(path)


def test_a_segment_that_was_never_written_is_a_bad_frame(tmp_path: Path) -> None:
    empty = np.zeros((HEIGHT + ABOVE, PRE + WIDTH + OVER), np.int32)
    path = write(tmp_path / "a.fits", truth(), {"05": {"data": empty}})
    with pytest.raises(BadFrame, match=r"HDU 14 \(Segment05\): every pixel is 0, no image was written"):
        pixels(path, opened(path))
