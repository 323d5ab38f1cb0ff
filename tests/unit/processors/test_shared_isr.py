"""Frames of cameras that need the whole chain: an amplifier per HDU, exposure times in other units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.check_frame import open_frame
from processors.errors import BadFrame
from processors.instrument import load_instruments


def test_an_exposure_time_in_milliseconds(shared_data: Path) -> None:
    frame = open_frame(shared_data / "raw/msfc_esis/dark_current/ESIS1_01829.fit.gz", load_instruments())
    assert frame.identity.exptime_s == pytest.approx(11.999)


def test_an_image_made_of_hdus_is_read_whole_or_refused(shared_data: Path) -> None:
    name = "201807241028453-RTM-010-S11-det067.fits"
    frame = open_frame(shared_data / "mosaic/lsst" / name, load_instruments())
    assert len(frame.setups[0].amplifiers) == 16
    with pytest.raises(BadFrame, match=r"HDU 1 \(Segment10\): every pixel is 0, no image was written"):
        frame.image(frame.setups[0])


def test_sixteen_hdus_give_one_image(tmp_path: Path) -> None:
    from astropy.io import fits

    headers = {"TSTAND": "T", "LSST_NUM": "E2V-CCD250-1", "IMAGETAG": "7", "IMGTYPE": "BIAS", "EXPTIME": 0.0}
    primary = fits.PrimaryHDU()
    for key, value in {**headers, "DATE-OBS": "2018-07-24T10:28:45.342", "CCDSLOT": "S11"}.items():
        primary.header[key] = value
    hdus = [primary]
    rng = np.random.default_rng(1)
    for number in range(8):
        for row in "10":
            image = rng.integers(1000, 1100, (2048, 576)).astype(np.int32)
            hdu = fits.ImageHDU(image, name=f"Segment{row}{number}")
            hdu.header["DATASEC"] = "[11:522,1:2002]"
            x1, x2 = 512 * number + 1, 512 * number + 512
            hdu.header["DETSEC"] = f"[{x2}:{x1},1:2002]" if row == "1" else f"[{x1}:{x2},4004:2003]"
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    frame = open_frame(tmp_path / "a.fits", load_instruments())
    assert frame.image(frame.setups[0]).shape == (4096, 4608)
