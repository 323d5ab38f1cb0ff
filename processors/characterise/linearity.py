"""LINEARITY: how the signal departs from proportionality to the exposure time, and the polynomial that mends it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.kind import Kind
from processors.characterise.least_squares import LinearFit, linear_fit
from processors.characterise.result import POOR, Characterisation, Figure, Judge, Quantity, Table, flags_of, series
from processors.characterise.sequence import DetectorSequence, Needs
from processors.characterise.signal import F4, F8, AmplifierSignal, master_signal, signals
from processors.fits import Frame
from processors.geometry import Amplifier
from processors.ptc import Measured
from processors.statistics import clipped


@dataclass(frozen=True, slots=True)
class LinearityOptions:
    """Options of LINEARITY."""

    order: int = field(default=3, metadata={"help": "Highest power of the correction polynomial."})
    high_adu: float = field(default=math.inf, metadata={"help": "Fit no level above this."})
    low_adu: float = field(default=0.0, metadata={"help": "Fit no level below this."})
    lamp: float = field(default=0.001, metadata={"help": "How steady the lamp is from exposure to exposure, relative."})
    reference_s: float = field(
        default=0.0, metadata={"help": "Exposure time of frames between the others that follow the lamp; 0: none."}
    )
    shutter: bool = field(default=False, metadata={"help": "Fit a constant error of the exposure times too."})


@dataclass(frozen=True, slots=True)
class LinearityFit:
    """Correction of the signal of an amplifier, both in ADU above the bias.

    true = Σ c_k s^k with `polynomial` (c_0, c_1 = 0, 1, …), as `linearity: {polynomial: …}` of an instrument file takes
    it; slope 1 at no signal, so that the gain measured on faint flats stays. `rate` ADU/s at no signal, `shutter_s` is
    added to the exposure times. `deviation` is s / (rate t) - 1 of every point and `residual` the same once corrected;
    `used` marks what was fitted.
    """

    polynomial: tuple[float, ...]
    errors: tuple[float, ...]
    rate: Measured
    shutter_s: Measured
    deviation: F8
    residual: F8
    used: NDArray[np.bool_]
    chi2: float


def measure_linearity(sequence: DetectorSequence, options: LinearityOptions, judge: Judge) -> Characterisation:
    """Non-linearity curve of every amplifier, its largest deviation, and the correction."""
    structure = master_signal(sequence, sequence.of_type("bias"))
    flats = sequence.of_type("flat")
    times = np.array([frame.identity.exptime_s for frame in flats])
    levels = [_levels(signals(sequence, frame), structure) for frame in flats]
    lamp = _lamp(times, levels, options.reference_s)
    quantities: list[Quantity] = []
    figures: list[Figure] = []
    tables: list[Table] = []
    messages = [] if structure is not None else ["no biases: bias structure is not subtracted"]
    poor = False
    for n, amplifier in enumerate(sequence.setup(flats[0]).amplifiers):
        signal = np.array([level[n].value for level in levels]) / lamp
        error = np.array([level[n].error for level in levels]) / lamp
        # half a pixel in a thousand at the converter's end pulls the mean down already
        usable = np.array([level[n].number == 0 for level in levels])
        usable &= (signal > options.low_adu) & (signal < options.high_adu)
        try:
            fit = fit_linearity(times, signal, error, options.order, usable, options.lamp, options.shutter)
        except ValueError as problem:
            messages.append(f"amplifier {amplifier.name}: {problem}")
            poor = True
            continue
        quantities += _quantities(amplifier, fit, signal, options, judge)
        figures += _figures(amplifier, fit, signal)
        rows = tuple((float(k), c, e) for k, (c, e) in enumerate(zip(fit.polynomial, fit.errors, strict=True)))
        tables.append(Table("polynomial", amplifier.name, ("power", "coefficient", "error"), rows))
    return Characterisation(
        LINEARITY.name, sequence.instrument, sequence.detector, sequence.group, tuple(quantities),
        flags_of(quantities, [POOR] if poor else []), tuple(figures), tuple(tables), messages=tuple(messages),
    )  # fmt: skip


def fit_linearity(
    times_s: F8,
    signal_adu: F8,
    error_adu: F8,
    order: int,
    usable: NDArray[np.bool_],
    lamp: float = 0.001,
    shutter: bool = False,
) -> LinearityFit:
    """Fit the polynomial that makes the signal proportional to the exposure time.

    t + Δt = (s + Σ c_k s^k) / rate is linear in 1/rate, c_k/rate and Δt, and so is the fit; errors are those of the
    levels and of the lamp. Points 5 σ off are rejected.

    Raises
    ------
    ValueError
        Fewer usable levels than unknowns and one more, or no light.
    """
    unknowns = order + shutter
    number = np.unique(np.round(times_s[usable], 6)).size
    if number < unknowns + 1:
        raise ValueError(f"{number} exposure times for a polynomial of order {order}")
    top = float(signal_adu[usable].max())
    if not top > 0:
        raise ValueError("no light")
    s, t = signal_adu[usable] / top, times_s[usable]
    design = np.column_stack([s**k for k in range(1, order + 1)] + ([-np.ones_like(s)] if shutter else []))
    rough = float(np.median(t / s))
    errors = rough * np.hypot(error_adu[usable] / top, lamp * s)
    fit = linear_fit(design, t, errors)
    first = float(fit.coefficients[0])
    polynomial, spread = _polynomial(fit, order, top)
    used = np.zeros(times_s.size, np.bool_)
    used[np.flatnonzero(usable)[fit.used]] = True
    offset = Measured(float(fit.coefficients[-1]), fit.error(order), number) if shutter else Measured(0.0, math.nan, 0)
    rate = top / first
    expected = rate * (times_s + offset.value)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = signal_adu / expected - 1
        residual = np.polynomial.polynomial.polyval(signal_adu, polynomial) / expected - 1
    return LinearityFit(
        polynomial,
        spread,
        Measured(rate, rate * fit.error(0) / first, int(used.sum())),
        offset,
        deviation,
        residual,
        used,
        fit.chi2_per_dof,
    )


def _polynomial(fit: LinearFit, order: int, top: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """c_k = p_k / p_1 for signals in ADU, and their errors, from those of both and how they go together."""
    first = float(fit.coefficients[0])
    ratio = fit.coefficients[:order] / first
    spread = [0.0, 0.0]
    for k in range(1, order):
        jacobian = np.zeros(len(fit.coefficients))
        jacobian[k], jacobian[0] = 1 / first, -ratio[k] / first
        spread.append(float(np.sqrt(jacobian @ fit.covariance @ jacobian)) / top**k)
    return (0.0, *(float(c) / top**k for k, c in enumerate(ratio))), tuple(spread)


def _levels(planes: Sequence[AmplifierSignal], structure: tuple[F4, ...] | None) -> list[Measured]:
    """Mean of every amplifier; `number` is that of saturated pixels beyond one in a thousand, 0 where all is well."""
    found = []
    for n, plane in enumerate(planes):
        mean, sigma, number = clipped(plane.data if structure is None else plane.data - structure[n])
        error = math.hypot(sigma / math.sqrt(number), plane.level_error_adu)
        found.append(Measured(mean, error, int(plane.saturated * number) if plane.saturated > 1e-3 else 0))
    return found


def _lamp(times: F8, levels: Sequence[Sequence[Measured]], reference_s: float) -> F8:
    """Brightness of the lamp at each frame over its mean, from reference frames by straight lines between them."""
    reference = np.flatnonzero((reference_s > 0) & (np.abs(times - reference_s) <= 0.01 * reference_s))
    if reference.size < 2:
        return np.ones(times.size)
    bright = np.array([np.mean([level.value for level in levels[n]]) for n in reference.tolist()])
    return np.asarray(np.interp(np.arange(times.size), reference, bright / bright.mean()))


def _quantities(
    amplifier: Amplifier, fit: LinearityFit, signal: F8, options: LinearityOptions, judge: Judge
) -> list[Quantity]:
    name, number = amplifier.name, int(fit.used.sum())
    inside = np.flatnonzero(fit.used)
    top = float(signal[inside].max())
    # of the fitted curve, not of single points: one flicker of the lamp is no deviation
    grid = np.linspace(0.02, 1, 200) * top
    true = np.polynomial.polynomial.polyval(grid, fit.polynomial)
    curve = grid / true - 1
    at = int(np.argmax(np.abs(curve)))
    error = math.sqrt(sum((e * grid[at] ** (k - 1)) ** 2 for k, e in enumerate(fit.errors) if k > 1))
    left = fit.residual[inside]
    rms = float(np.sqrt(np.mean(left**2)))
    found = [
        judge("max_deviation", name, float(curve[at]) * 100, error * 100, "%", number, "NL_OOL",
              message=f"at {grid[at]:.0f} ADU"),
        judge("residual_rms", name, rms * 100, rms * 100 / math.sqrt(2 * max(1, number)), "%", number, "NL_OOL"),
        judge("residual_max", name, float(np.abs(left).max()) * 100, math.nan, "%", number, "NL_OOL"),
        judge("rate", name, fit.rate.value, fit.rate.error, "ADU/s", number, "FLUX_OOL"),
        judge("linear_to", name, top, math.nan, "ADU", number, "NL_OOL", message="highest level that was fitted"),
        judge("chi2", name, fit.chi2, math.nan, "", number),
    ]  # fmt: skip
    if options.shutter:
        found.append(judge("shutter", name, fit.shutter_s.value, fit.shutter_s.error, "s", number, "NL_OOL"))
    return found


def _figures(amplifier: Amplifier, fit: LinearityFit, signal: F8) -> list[Figure]:
    good = fit.used
    line = np.linspace(0.01, 1, 100) * float(signal[good].max())
    model = line / np.polynomial.polynomial.polyval(line, fit.polynomial) - 1
    out = ~good & np.isfinite(fit.deviation)
    return [
        Figure(f"linearity_{amplifier.name}", f"Non-linearity, {amplifier.name}", "ADU", "%", (
            series("fitted", signal[good], fit.deviation[good] * 100),
            series("not fitted", signal[out], fit.deviation[out] * 100),
            series("model", line, model * 100),
            series("corrected", signal[good], fit.residual[good] * 100),
        )),
    ]  # fmt: skip


def _needs(options: LinearityOptions) -> Needs:
    def accept(frame: Frame) -> str:
        timeless = frame.identity.obstype == "flat" and frame.identity.exptime_s <= 0
        return "a flat of 0 s" if timeless else ""

    least = options.order + options.shutter + 1
    return Needs(frozenset({"flat"}), least, frozenset({"bias"}), by_filter=True, accept=accept)


LINEARITY: Final = Kind(
    "LINEARITY", "non-linearity and its correction from flats of many times", LinearityOptions, _needs,
    measure_linearity,
)  # fmt: skip
