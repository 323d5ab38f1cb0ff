"""DECam-like raw frames: two amplifiers with overscan, stars, cosmic rays, bad columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS, COLUMNS, OVERSCAN, PRESCAN = 4146, 2160, 50, 6
GAINS, BIASES, READ_NOISE = (4.02, 4.31), (1812.0, 2240.0), 7.0  # e-/ADU, ADU, e-


def detector(sky: float, rng: np.random.Generator) -> np.ndarray:
    """A raw DECam-like CCD, uint16: two amplifiers with overscan, stars on a sky (ADU), bad columns, tracks."""
    height, width = 4096, 2048
    light = np.full((height, width), sky * 4, np.float32)
    y, x = np.mgrid[-12:13, -12:13]
    for flux, at_x, at_y in zip(
        np.clip(2000 * (rng.pareto(0.8, 1500) + 1), 0, 3e6),
        rng.uniform(13, width - 14, 1500),
        rng.uniform(13, height - 14, 1500),
        strict=True,
    ):
        column, row = int(at_x), int(at_y)
        profile = (1 + ((x - at_x + column) ** 2 + (y - at_y + row) ** 2) / 13.9) ** -3.0
        light[row - 12 : row + 13, column - 12 : column + 13] += flux * 0.046 * profile
    light *= 1 + rng.normal(0, 0.004, light.shape).astype(np.float32)
    light = rng.poisson(light).astype(np.float32)
    for _ in range(300):  # cosmic rays
        steps = np.arange(1 + rng.exponential(9))
        angle = rng.uniform(0, np.pi)
        rows = np.clip(rng.integers(0, height) + steps * np.sin(angle), 0, height - 1).astype(int)
        columns = np.clip(rng.integers(0, width) + steps * np.cos(angle), 0, width - 1).astype(int)
        light[rows, columns] += rng.lognormal(7, 0.6)
    raw = np.empty((ROWS, COLUMNS), np.float32)
    half = COLUMNS // 2
    for amplifier in (0, 1):
        columns = slice(amplifier * half, (amplifier + 1) * half)
        level = BIASES[amplifier] + 3 * np.exp(-np.arange(ROWS) / 300) + rng.normal(0, 0.15, ROWS)
        raw[:, columns] = level[:, None] + rng.normal(0, READ_NOISE / GAINS[amplifier], (ROWS, half))
    raw += rng.normal(0, 0.4, raw.shape) + 0.8 * np.sin(np.arange(COLUMNS) / 40)
    edge = OVERSCAN + PRESCAN
    raw[:height, edge:half] += light[:, : width // 2] / GAINS[0]
    raw[:height, half:-edge] += light[:, width // 2 :] / GAINS[1]
    for column in rng.integers(edge, COLUMNS - edge, 4):
        raw[rng.integers(0, 3000) : height, column] *= 3
    return np.clip(np.rint(raw), 0, 60000).astype(np.uint16)


def make_frame(path: Path, detectors: int) -> None:
    """A mosaic file with skies from 1000 to 5000 ADU."""
    import fitsio

    rng = np.random.default_rng(7)
    with fitsio.FITS(str(path), "rw", clobber=True) as fits:
        fits.write(None, header={"EXPNUM": 1, "FILTER": "r"})
        for number, sky in enumerate(np.geomspace(1000, 5000, detectors)):
            cards = {"CCDNUM": number + 1} | {f"K{key:05d}": key * 1.5 for key in range(120)}
            fits.write(detector(sky, rng), header=cards, extname=f"N{number + 1}")
