"""From electrons to counts: full wells, blooming, gain, bias and read noise."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from processors.simulator.camera import Camera, DetectorTruth
from processors.simulator.patterns import Image, pattern
from processors.simulator.seeds import Stream, generator

ROW_NOISE_ADU: Final = 0.15
JITTER_ADU: Final = 0.25  # of the bias level from exposure to exposure


def bleed(electrons: Image, full: npt.NDArray[np.float32]) -> int:
    """Spread what exceeds the full well along the columns, half up and half down, in place; returns the full pixels.

    `electrons` is (rows, columns), `full` the full well of every column. Charge that meets the edge is lost.
    """
    over = electrons > full[None, :]
    for column in np.flatnonzero(over.any(axis=0)):
        profile, well = electrons[:, column], float(full[column])
        for first, last in _runs(over[:, column]):
            excess = float(profile[first:last].sum()) - well * (last - first)
            if excess <= 0:
                continue  # filled by the run before
            profile[first:last] = well
            _pour(profile[last:], well, excess / 2)
            _pour(profile[:first][::-1], well, excess / 2)
        np.minimum(profile, well, out=profile)
    return int((electrons >= full[None, :]).sum())


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _pour(profile: npt.NDArray[np.float32], well: float, charge: float) -> None:
    """Fill a column, from its start on, up to the well with so much charge, in place."""
    room = np.maximum(well - profile, 0)
    before = np.cumsum(room) - room
    profile += np.clip(charge - before, 0, room).astype(np.float32)


def read_out(
    camera: Camera, detector: DetectorTruth, hours: float, electrons: Image, key: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint16], tuple[float, float], tuple[float, float]]:
    """Counts of the raw image, the level of each amplifier, and the mean level of its overscan, ADU.

    `electrons` is (height, width) of light-sensitive pixels, `hours` the time since local noon (for the drift of the
    bias), `key` seed, night, exposure and detector. Rows share a little noise, as the reference voltage has some.
    """
    geometry = camera.geometry
    rows, columns = geometry.raw_shape
    rng = generator(Stream.BIAS, *key)
    image = generator(Stream.READ, *key).standard_normal((rows, columns), dtype=np.float32)
    signal = image[geometry.data]
    bias = pattern(camera, detector).bias
    levels, overscans = [], []
    for index, amplifier in enumerate(detector.amplifiers):
        level = amplifier.level(hours) + rng.normal(0, JITTER_ADU)
        transient = amplifier.transient_adu * np.exp(-np.arange(rows) / amplifier.transient_rows)
        by_row = level + transient + rng.normal(0, ROW_NOISE_ADU, rows)
        half = image[:, geometry.half(index)]
        half *= np.float32(amplifier.read_noise_e / amplifier.gain_e_adu)
        half += by_row[:, None].astype(np.float32)
        light = slice(index * geometry.width // 2, (index + 1) * geometry.width // 2)
        signal[:, light] += electrons[:, light] * np.float32(1 / amplifier.gain_e_adu) + bias[:, light]
        levels.append(round(float(level), 4))
        overscans.append(round(float(by_row[: geometry.height].mean()), 4))
    counts = np.clip(np.rint(image), 0, 65535).astype(np.uint16)
    return counts, (levels[0], levels[1]), (overscans[0], overscans[1])
