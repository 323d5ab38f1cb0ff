"""The simulated camera: where its detectors lie and what each amplifier is like. Fixed by the seed, for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.simulator.options import NightOptions
from processors.simulator.projection import TanWcs
from processors.simulator.seeds import Stream, generator
from processors.simulator.sky import PIXEL_SCALE_ARCSEC

PRESCAN: Final = 6
OVERSCAN: Final = 50
READOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """Pixels of a raw detector: prescan, overscan, data | data, overscan, prescan; `OVERSCAN` more rows on top.

    `width` and `height` are of the light-sensitive part; amplifier A reads its left half, B its right half.
    """

    width: int
    height: int

    @property
    def margin(self) -> int:
        """Columns before the first light-sensitive one."""
        return PRESCAN + OVERSCAN

    @property
    def raw_shape(self) -> tuple[int, int]:
        """(rows, columns) of the raw image."""
        return self.height + OVERSCAN, self.width + 2 * self.margin

    @property
    def data(self) -> tuple[slice, slice]:
        """Where the light-sensitive pixels lie in the raw image, [rows, columns] from 0."""
        return slice(0, self.height), slice(self.margin, self.margin + self.width)

    def half(self, amplifier: int) -> slice:
        """Raw columns read by amplifier 0 (A) or 1 (B)."""
        middle = self.margin + self.width // 2
        return slice(0, middle) if amplifier == 0 else slice(middle, self.raw_shape[1])

    def overscan(self, amplifier: int) -> tuple[slice, slice]:
        """The amplifier's serial overscan beside the data rows, [rows, columns] from 0."""
        first = PRESCAN if amplifier == 0 else self.margin + self.width
        return slice(0, self.height), slice(first, first + OVERSCAN)

    def sections(self, amplifier: int) -> dict[str, str]:
        """FITS sections (from 1, ends included) by the name of their card without the amplifier's letter."""
        half, left = self.width // 2, amplifier == 0
        data = self.margin + (0 if left else half)
        over = PRESCAN if left else self.margin + self.width
        pre = 0 if left else self.raw_shape[1] - PRESCAN
        ccd = 0 if left else half
        return {
            "DATASEC": _section(data, half, 0, self.height),
            "TRIMSEC": _section(data, half, 0, self.height),
            "BIASSEC": _section(over, OVERSCAN, 0, self.height),
            "PRESEC": _section(pre, PRESCAN, 0, self.height),
            "POSTSEC": _section(data, half, self.height, OVERSCAN),
            "CCDSEC": _section(ccd, half, 0, self.height),
        }


@dataclass(frozen=True, slots=True)
class AmplifierTruth:
    """What an amplifier is like: gain e-/ADU, read noise e-, bias level ADU, its drift, full well e-.

    `transient_adu` is the extra level of the first row, which decays over `transient_rows`; `saturation_adu` is where
    the SATURATE card draws the line, 1 % below the full well.
    """

    name: str
    gain_e_adu: float
    read_noise_e: float
    bias_adu: float
    drift_adu: float
    drift_phase: float
    transient_adu: float
    transient_rows: float
    full_well_e: float

    @property
    def saturation_adu(self) -> float:
        """Raw counts from which a pixel is called saturated."""
        return math.floor(self.bias_adu + 0.99 * self.full_well_e / self.gain_e_adu)

    def level(self, hours: float) -> float:
        """Bias level in ADU, `hours` after local noon: a slow wave, as the electronics follow the day's temperature."""
        return self.bias_adu + self.drift_adu * math.sin(2 * math.pi * hours / 11.0 + self.drift_phase)


@dataclass(frozen=True, slots=True)
class DetectorTruth:
    """One detector: number from 1, name, place in the focal plane (pixels from the optical axis), amplifiers."""

    number: int
    name: str
    centre_x: float
    centre_y: float
    rotation_deg: float
    dark_e_s: float
    amplifiers: tuple[AmplifierTruth, AmplifierTruth]


@dataclass(frozen=True, slots=True)
class Camera:
    """All detectors of the camera that belongs to a seed."""

    seed: int
    geometry: Geometry
    detectors: tuple[DetectorTruth, ...]

    @property
    def radius(self) -> float:
        """Distance in pixels from the optical axis to the farthest corner."""
        x, y = self.geometry.width / 2, self.geometry.height / 2
        return max(math.hypot(abs(d.centre_x) + x, abs(d.centre_y) + y) for d in self.detectors)

    def wcs(self, detector: DetectorTruth, ra: float, dec: float) -> TanWcs:
        """Solution of a raw image with the optical axis at (ra, dec): north up, east left, but for the rotation."""
        scale = PIXEL_SCALE_ARCSEC / 3600
        cosine, sine = math.cos(math.radians(detector.rotation_deg)), math.sin(math.radians(detector.rotation_deg))
        x, y = -detector.centre_x, -detector.centre_y  # the axis as seen from the detector's centre
        crpix = (
            round(self.geometry.margin + self.geometry.width / 2 + 0.5 + cosine * x + sine * y, 4),
            round(self.geometry.height / 2 + 0.5 - sine * x + cosine * y, 4),
        )
        return TanWcs((ra, dec), crpix, (-scale * cosine, scale * sine, scale * sine, scale * cosine))


def build_camera(options: NightOptions) -> Camera:
    """The camera of a seed and a size: equal seeds give equal detectors, however many of them are built."""
    geometry = Geometry(options.width, options.height)
    columns = math.ceil(math.sqrt(options.detectors))
    rows = math.ceil(options.detectors / columns)
    step_x, step_y = 1.07 * geometry.width, 1.03 * geometry.height
    detectors = []
    for index in range(options.detectors):
        rng = generator(Stream.CAMERA, options.seed, index + 1)
        x = (index % columns - (columns - 1) / 2) * step_x + rng.normal(0, 1.5)
        y = (index // columns - (rows - 1) / 2) * step_y + rng.normal(0, 1.5)
        rotation, dark = rng.normal(0, 0.03), rng.lognormal(math.log(0.01), 0.2)
        amplifiers = (_amplifier(rng, "A"), _amplifier(rng, "B"))
        name = f"S{index + 1}"
        detectors.append(
            DetectorTruth(
                index + 1, name, round(x, 2), round(y, 2), round(rotation, 4), round(float(dark), 5), amplifiers
            )
        )
    return Camera(options.seed, geometry, tuple(detectors))


def _amplifier(rng: np.random.Generator, name: str) -> AmplifierTruth:
    return AmplifierTruth(
        name=name,
        gain_e_adu=round(float(rng.uniform(3.8, 4.6)), 3),
        read_noise_e=round(float(rng.uniform(5.8, 8.2)), 2),
        bias_adu=round(float(rng.uniform(1500, 2600)), 1),
        drift_adu=round(float(rng.uniform(0.8, 2.5)), 2),
        drift_phase=round(float(rng.uniform(0, 2 * math.pi)), 3),
        transient_adu=round(float(rng.uniform(1, 5)), 2),
        transient_rows=round(float(rng.uniform(60, 140)), 1),
        full_well_e=round(float(rng.uniform(150e3, 180e3)), -2),
    )


def _section(x0: int, columns: int, y0: int, rows: int) -> str:
    return f"[{x0 + 1}:{x0 + columns},{y0 + 1}:{y0 + rows}]"
