"""A toy camera: two amplifiers, 40 x 24 pixels of data, frames with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processors.check_frame import open_frame
from processors.fits import Frame
from processors.instrument import Instruments, load_instruments

YAML = """
name: toy
site: {longitude_deg: 0}
recognise: [{cards: {INSTRUME: toy}}]
identity:
  expid: EXPNUM
  time: [{cards: [DATE-OBS]}, {cards: [MJD-OBS], format: mjd}]
  exptime_s: EXPTIME
  object: OBJECT
  filter: FILTER
  night_card: NIGHT
  obstypes:
    - {obstype: bias, when: {OBSTYPE: zero}}
    - {obstype: flat, when: {OBSTYPE: dome}}
    - {obstype: skyflat, when: {OBSTYPE: sky}}
    - {obstype: science, when: {OBSTYPE: object}}
detectors: {layout: mosaic, id: CCDNUM, expected: 2}
amplifiers:
  - {name: A, data: '[3:22,1:24]', overscan: '[43:52,1:24]', gain_e_adu: GAINA, read_noise_e: 5, saturation_adu: 60000}
  - {name: B, data: '[23:42,1:24]', overscan: '[53:62,1:24]', gain_e_adu: 3, read_noise_e: 6, saturation_adu: 60000}
required_cards: [EXPNUM, OBSTYPE]
checks:
  overscan_level: {from: 2000-01-01, warning: [900, 1300], error: [500, 2000]}
  mean_level:
    - {from: 2000-01-01, obstypes: [bias], warning: [-5, 5]}
    - {from: 2025-01-01, obstypes: [bias], warning: [-500, 500]}
"""
GAINS = (2.0, 3.0)
LEVELS = (1000.0, 1200.0)
SHAPE = (24, 40)


def instruments(directory: Path, text: str = YAML) -> Instruments:
    """The built-in instruments and the toy."""
    (directory / "toy.yaml").write_text(text)
    return load_instruments([directory])


def raw_image(electrons: NDArray[Any] | float, rng: np.random.Generator, read_noise_adu: float = 2.0) -> NDArray[Any]:
    """Raw pixels (24, 62) uint16 of a trimmed image in electrons: 2 prescan columns, data, overscan, read noise."""
    signal = np.broadcast_to(np.asarray(electrons, float), SHAPE)
    raw = np.zeros((24, 62))
    raw[:, 2:22] = LEVELS[0] + signal[:, :20] / GAINS[0]
    raw[:, 22:42] = LEVELS[1] + signal[:, 20:] / GAINS[1]
    raw[:, 42:52], raw[:, 52:62] = LEVELS
    raw += rng.normal(0, read_noise_adu, raw.shape)
    return np.clip(np.round(raw), 0, 65535).astype(np.uint16)


def write(path: Path, images: dict[str, NDArray[Any]], **cards: Any) -> Path:
    """A mosaic file of the toy camera."""
    header = fits.Header()
    given = {"INSTRUME": "toy", "EXPNUM": 1, "DATE-OBS": "2022-01-26T23:00:00", "EXPTIME": 0.0, "OBSTYPE": "zero"}
    given |= {key.replace("_", "-"): value for key, value in cards.items()}
    for key, value in given.items():
        if value is not None:
            header[key] = value
    hdus: list[Any] = [fits.PrimaryHDU(header=header)]
    for name, image in images.items():
        extension = fits.ImageHDU(image)
        extension.header["CCDNUM"] = int(name)
        extension.header["GAINA"] = GAINS[0]
        hdus.append(extension)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def frame(path: Path, known: Instruments, electrons: Any = 0.0, seed: int = 0, **cards: Any) -> Frame:
    """An opened frame of both detectors."""
    rng = np.random.default_rng(seed)
    return open_frame(write(path, {n: raw_image(electrons, rng) for n in ("1", "2")}, **cards), known)
