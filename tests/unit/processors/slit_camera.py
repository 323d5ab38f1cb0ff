"""A camera behind a slit spectrograph that looks at a `SlitScene`: raw frames with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processors.check_frame import open_frame
from processors.fits import Frame
from processors.instrument import Instruments
from tests.unit.processors import toy
from tests.unit.processors.slit_scene import COLUMNS, ROWS, SlitScene

OVERSCAN = 8
LEVEL_ADU = 1000.0
YAML = f"""
name: toy
site: {{longitude_deg: 0}}
recognise: [{{cards: {{INSTRUME: slit}}}}]
identity:
  expid: EXPNUM
  time: [{{cards: [DATE-OBS]}}]
  exptime_s: EXPTIME
  filter: GRISM
  slit: SLIT
  spectroscopy: {{GRISM: '.+'}}
  obstypes:
    - {{obstype: bias, when: {{OBSTYPE: zero}}}}
    - {{obstype: flat, when: {{OBSTYPE: flat}}}}
    - {{obstype: arc, when: {{OBSTYPE: arc}}}}
    - {{obstype: science, when: {{OBSTYPE: object}}}}
detectors: {{layout: single, id: {{default: '1'}}, expected: ['1']}}
amplifiers:
  - name: A
    data: '[1:{COLUMNS},1:{ROWS}]'
    overscan: '[{COLUMNS + 1}:{COLUMNS + OVERSCAN},1:{ROWS}]'
    overscan_per: frame
    gain_e_adu: 1
    read_noise_e: 5
    saturation_adu: 65000
spectrographs:
  - {{when: {{GRISM: g}}, dispersion_axis: y, dispersion_a_px: %.3f, centre_a: %.0f, lamps: [He, Ar]}}
"""


def instruments(directory: Path, scene: SlitScene) -> Instruments:
    """The built-in instruments and the camera, told of the scene's dispersion as well as an observer knows it."""
    return toy.instruments(directory, YAML % (scene.dispersion_a_px * 1.04, scene.centre_a + 120))


def expose(path: Path, known: Instruments, electrons: NDArray[Any], **cards: Any) -> Frame:
    """Write a raw frame of these electrons (its read noise in them) and open it."""
    raw = np.full((ROWS, COLUMNS + OVERSCAN), LEVEL_ADU)
    raw[:, :COLUMNS] += electrons
    raw[:, COLUMNS:] += np.random.default_rng(len(path.name)).normal(0, 5, (ROWS, OVERSCAN))
    given = {
        "INSTRUME": "slit", "EXPNUM": 1, "DATE-OBS": "2022-01-26T23:00:00", "EXPTIME": 600.0, "OBSTYPE": "object",
        "GRISM": "g", "SLIT": "1.0",
    }  # fmt: skip
    given |= {key.replace("_", "-"): value for key, value in cards.items()}
    hdu = fits.PrimaryHDU(np.clip(np.rint(raw), 0, 65535).astype(np.uint16))
    hdu.header.update({key: value for key, value in given.items() if value is not None})
    hdu.writeto(path)
    return open_frame(path, known)
