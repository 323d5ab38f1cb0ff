"""A camera on a test bench: two amplifiers with serial and parallel overscan, and frames with a known truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processors.check_frame import open_frame
from processors.fits import Frame
from processors.instrument import Instruments, load_instruments

ROWS, HALF, OVER, PARALLEL = 200, 160, 24, 16
YAML = f"""
name: testbench
site: {{longitude_deg: 0}}
recognise: [{{cards: {{INSTRUME: testbench}}}}]
identity:
  expid: EXPNUM
  time: [{{cards: [DATE-OBS]}}]
  exptime_s: EXPTIME
  object: OBJECT
  filter: FILTER
  obstypes:
    - {{obstype: bias, when: {{OBSTYPE: bias}}}}
    - {{obstype: dark, when: {{OBSTYPE: dark}}}}
    - {{obstype: flat, when: {{OBSTYPE: flat}}}}
    - {{obstype: skyflat, when: {{OBSTYPE: skyflat}}}}
    - {{obstype: focus, when: {{OBSTYPE: focus}}}}
    - {{obstype: science, when: {{OBSTYPE: object}}}}
detectors: {{layout: single, id: {{default: '1'}}, expected: ['1']}}
amplifiers:
  - name: A
    data: '[{OVER + 1}:{OVER + HALF},1:{ROWS}]'
    overscan: '[1:{OVER - 4},1:{ROWS}]'
    gain_e_adu: 2.0
    read_noise_e: 6
    saturation_adu: 60000
  - name: B
    data: '[{OVER + HALF + 1}:{OVER + 2 * HALF},1:{ROWS}]'
    overscan: '[{OVER + 2 * HALF + 5}:{2 * OVER + 2 * HALF},1:{ROWS}]'
    gain_e_adu: 3.0
    read_noise_e: 6
    saturation_adu: 60000
checks:
  read_noise: {{from: 2000-01-01, warning: [4, 8], error: [2, 16]}}
  overscan_level: {{from: 2000-01-01, warning: [900, 1300], error: [500, 2000]}}
"""
Image = NDArray[np.float64]


@dataclass
class BenchCamera:
    """What the camera is like. `pattern_adu` has the shape of the raw image, `response` of the lit part.

    `curve` turns true ADU above the bias into what the converter gives. `shared_adu` is noise that both amplifiers have
    in a pixel read at one time, `row_noise_adu` noise that all pixels of a row share.
    """

    rng: np.random.Generator
    gains: tuple[float, float] = (2.0, 3.0)
    levels: tuple[float, float] = (1000.0, 1200.0)
    noises_e: tuple[float, float] = (6.0, 7.0)
    full_well_e: float = 1e9
    pattern_adu: Any = 0.0
    response: Any = 1.0
    dark_e_s: Any = 0.0
    shared_adu: float = 0.0
    row_noise_adu: float = 0.0
    drift_adu: float = 0.0
    curve: Any = field(default=lambda adu: adu)
    cti: float = 0.0
    parallel_cti: float = 0.0

    def raw(self, electrons: Image | float, exptime_s: float = 0.0) -> NDArray[np.uint16]:
        """Counts of a frame: `electrons` (ROWS, 2 HALF) is the expected light."""
        expected = np.broadcast_to(np.asarray(electrons, float), (ROWS, 2 * HALF)) * self.response
        charge = self.rng.poisson(expected + np.asarray(self.dark_e_s) * exptime_s).astype(float)
        np.minimum(charge, self.full_well_e, out=charge)
        rows, columns = ROWS + PARALLEL, 2 * (HALF + OVER)
        shared = self.rng.normal(0, 1, (rows, HALF + OVER)) * self.shared_adu
        image = np.zeros((rows, columns))
        for number in (0, 1):
            # columns in the order of reading: A is read from right to left, B from left to right
            light = charge[:, :HALF][:, ::-1] if number == 0 else charge[:, HALF:]
            lines = np.zeros((rows, HALF + OVER))
            lines[:ROWS, :HALF] = light
            if self.parallel_cti:
                lost = self.parallel_cti * ROWS
                lines[1:] = (1 - lost) * lines[1:] + lost * lines[:-1]
                lines[0] *= 1 - lost
            adu = self.curve(self._trail(lines) / self.gains[number])
            adu += self.levels[number] + self.rng.normal(0, 1) * self.drift_adu + shared
            adu += self.rng.normal(0, 1, (rows, 1)) * self.row_noise_adu
            adu += self.rng.normal(0, self.noises_e[number] / self.gains[number], adu.shape)
            if number == 0:
                image[:, : HALF + OVER] = adu[:, ::-1]
            else:
                image[:, HALF + OVER :] = adu
        counts: NDArray[np.uint16] = np.clip(np.rint(image + self.pattern_adu), 0, 65535).astype(np.uint16)
        return counts

    def _trail(self, lines: Image) -> Image:
        """Leave the fraction `cti` of every pixel behind at each transfer; after so many it is a Poisson-like tail."""
        if not self.cti:
            return lines
        lost = self.cti * HALF
        out = lines * (1 - lost)
        out[:, 1:] += lines[:, :-1] * lost
        return out


def known(directory: Path) -> Instruments:
    """The built-in instruments and the test bench."""
    (directory / "testbench.yaml").write_text(YAML)
    return load_instruments([directory])


def save(path: Path, raw: NDArray[Any], instruments: Instruments, number: int, obstype: str, **cards: Any) -> Frame:
    """Write a frame, and open it; exposures are a minute apart by their number."""
    header = fits.Header()
    given = {
        "INSTRUME": "testbench",
        "EXPNUM": number,
        "DATE-OBS": f"2024-03-01T{20 + number // 60:02d}:{number % 60:02d}:00",
        "EXPTIME": 0.0,
        "OBSTYPE": obstype,
    }
    for key, value in (given | {key.replace("_", "-"): value for key, value in cards.items()}).items():
        header[key] = value
    file = path / f"{obstype}{number:03d}.fits"
    fits.PrimaryHDU(raw, header).writeto(file, overwrite=True)
    return open_frame(file, instruments)
