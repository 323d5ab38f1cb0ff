"""Pick-up: noise that repeats, by the power spectrum of a bias or of the overscan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.checks.result import CheckResult
from processors.checks.view import DetectorView

_MOST_ROWS: Final = 512  # that make a mean spectrum: enough for lines of 3 % of the noise
_FEWEST_ROWS: Final = 32
_FEWEST_COLUMNS: Final = 16
_SIGMAS: Final = 7.0  # above the scatter of the mean spectrum: no false line in thousands of amplifiers
_WINDOW: Final = 15  # frequencies in the running median that a line stands above
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the spectrum: cycles per pixel along the row, and amplitude in the unit of the image."""

    frequency: float
    amplitude: float


def check_pattern_noise(view: DetectorView) -> Iterator[CheckResult]:
    """Amplitude of the strongest line in the noise along the rows, e-, from the data of a bias, else the overscan.

    What is the same in all rows is the bias's structure and none of it. 0: no line stands out.
    """
    for amplifier in view.setup.amplifiers:
        image = view.data(amplifier) if view.frame.identity.obstype == "bias" else view.overscan(amplifier)
        if image is None or image.shape[0] < _FEWEST_ROWS or image.shape[1] < _FEWEST_COLUMNS:
            continue
        if not np.isfinite(image).all():
            yield view.judge("pattern_noise", amplifier, math.nan, "e-", "RON_OOL")
            continue
        lines = spectral_lines(image)
        told = [f"{line.amplitude:.2f} ADU at {line.frequency:.4f} cycles/px" for line in lines[:_SHOWN]]
        value = lines[0].amplitude * amplifier.gain_e_adu if lines else 0.0
        yield view.judge("pattern_noise", amplifier, value, "e-", "RON_OOL", ", ".join(told))


def spectral_lines(image: NDArray[Any]) -> list[Line]:
    """Lines in the mean power spectrum of the rows of an image (rows, columns), the strongest first.

    A sine of amplitude A adds A² n² / 4 to the power n σ² of white noise in its frequency (Press et al., *Numerical
    Recipes*, section 13.4); the mean over R rows scatters by 1/√R. Pixels 5 σ away do not count, nor do the means of
    the columns and rows.
    """
    step = max(1, image.shape[0] // _MOST_ROWS)
    rows = image[: step * _MOST_ROWS : step].astype(np.float32)
    rows -= np.median(rows, axis=1, keepdims=True)
    rows -= rows.mean(axis=0)
    sigma = 1.4826 * float(np.median(np.abs(rows)))
    np.clip(rows, -5 * sigma, 5 * sigma, out=rows)
    count, columns = rows.shape
    # a Hann window keeps a line from leaking over the whole spectrum
    window = np.hanning(columns).astype(np.float32)
    spectrum = np.fft.rfft(rows * window, axis=1)
    power = np.mean(spectrum.real**2 + spectrum.imag**2, axis=0)[2:-1]
    if power.size < 3:
        return []
    floor = _running_median(power)
    above = power / np.maximum(floor, 1e-12) - 1
    # neighbours share the light of a window's line; the median of fewer points scatters too
    limit = _SIGMAS / math.sqrt(count) * math.sqrt(1 + math.pi / (2 * min(_WINDOW, power.size)))
    lines = []
    for k in np.flatnonzero(above > limit):
        near = power[max(0, k - 2) : k + 3]
        if power[k] == near.max():
            excess = power[max(0, k - 1) : k + 2].sum() - floor[max(0, k - 1) : k + 2].sum()
            # the window's own power is spread over three frequencies
            amplitude = 2 * math.sqrt(max(float(excess), 0.0) / (columns * float((window**2).sum())))
            lines.append(Line(float(k + 2) / columns, amplitude))
    return sorted(lines, key=lambda line: -line.amplitude)


def _running_median(power: NDArray[Any]) -> NDArray[Any]:
    half = min(_WINDOW, power.size) // 2
    padded = np.pad(power, half, mode="reflect" if power.size > half else "edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1))
