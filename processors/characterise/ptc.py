"""PTC: gain, read noise and full well from a ladder of flats in pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from processors.characterise.brighter_fatter import brighter_fatter_kernel
from processors.characterise.covariance_model import fit_covariances
from processors.characterise.kind import Kind
from processors.characterise.pairs import PtcPoint, measure_pair, pair_flats
from processors.characterise.ptc_curve import CurveFit, fit_curve
from processors.characterise.result import (
    POOR,
    Characterisation,
    Figure,
    FrameUse,
    Judge,
    Quantity,
    Table,
    flags_of,
    matrix,
    series,
)
from processors.characterise.sequence import LIT, DetectorSequence, Needs
from processors.characterise.signal import F8, AmplifierSignal, master_signal, noise_of_differences, signals
from processors.fits import Frame
from processors.geometry import Amplifier
from processors.ptc import Measured

_MOST_BIASES: Final = 8
_FEWEST_TESTED: Final = 4  # points from which χ² says something


@dataclass(frozen=True, slots=True)
class PtcOptions:
    """Options of PTC."""

    covariances: bool = field(default=False, metadata={"help": "Fit the covariances of neighbours too (slower)."})
    lags: int = field(default=4, metadata={"help": "Covariances up to this many pixels apart, less one."})
    box: int = field(default=50, metadata={"help": "Boxes in pixels in which the variance is taken."})
    low_adu: float = field(default=0.0, metadata={"help": "Fit no level below this."})
    high_adu: float = field(default=math.inf, metadata={"help": "Fit no level above this."})


def measure_ptc(sequence: DetectorSequence, options: PtcOptions, judge: Judge) -> Characterisation:
    """Photon transfer curve of every amplifier.

    Read noise and bias structure come from biases, or from darks (of the flats' exposure time) where there are no
    biases; without either the structure is taken to be flat and the read noise is fitted.
    """
    pairs, alone = pair_flats(sequence.of_type(*LIT))
    blanks = sequence.of_type("bias") or sequence.of_type("dark")
    structure = master_signal(sequence, blanks)
    noises = _noises(sequence, blanks)
    points: dict[str, list[PtcPoint]] = {}
    uses = list(alone)
    for a, b in pairs:
        measured = _pair(sequence, a, b, structure, options)
        if not any(measured.values()):
            uses += [FrameUse(str(frame.path), "", "no second flat of its level") for frame in (a, b)]
        for name, point in measured.items():
            points.setdefault(name, []).extend([point] if point else [])
    quantities: list[Quantity] = []
    figures: list[Figure] = []
    tables: list[Table] = []
    messages = [] if blanks else ["no biases: bias structure is not subtracted, read noise is fitted"]
    for n, amplifier in enumerate(sequence.setup(sequence.main[0]).amplifiers):
        own = points.get(amplifier.name, [])
        try:
            fit = fit_curve(
                [p.mean_adu for p in own], [p.variance_adu2 for p in own], [p.error_adu2 for p in own],
                noises[n] if noises else None, options.low_adu, options.high_adu,
            )  # fmt: skip
        except ValueError as error:
            messages.append(f"amplifier {amplifier.name}: {error}")
            continue
        quantities += _quantities(amplifier, fit, own, judge)
        figures += _figures(amplifier, fit, own)
        if options.covariances:
            measured_covariances = _covariances(amplifier, fit, own, judge)
            if measured_covariances is None:
                messages.append(f"amplifier {amplifier.name}: too few levels for covariances")
            else:
                more, added, figure = measured_covariances
                quantities += more
                tables += added
                figures.append(figure)
    failed = [POOR] if len(messages) > (not blanks) else []
    return Characterisation(
        PTC.name, sequence.instrument, sequence.detector, sequence.group, tuple(quantities),
        flags_of(quantities, failed), tuple(figures), tuple(tables), tuple(uses), tuple(messages),
    )  # fmt: skip


def _pair(
    sequence: DetectorSequence, a: Frame, b: Frame, structure: Sequence[np.ndarray] | None, options: PtcOptions
) -> dict[str, PtcPoint | None]:
    lags = options.lags if options.covariances else 0
    found = {}
    for n, (one, two) in enumerate(zip(signals(sequence, a), signals(sequence, b), strict=True)):
        if structure is not None:
            one, two = (replace(s, data=s.data - structure[n]) for s in (one, two))  # noqa: PLW2901
        found[one.amplifier.name] = measure_pair(one, two, options.box, lags)
    return found


def _noises(sequence: DetectorSequence, blanks: Sequence[Frame]) -> list[Measured]:
    if len(blanks) < 2:
        return []
    planes: list[tuple[AmplifierSignal, ...]] = [signals(sequence, frame) for frame in blanks[:_MOST_BIASES]]
    return [noise_of_differences([plane[n].data for plane in planes]) for n in range(len(planes[0]))]


def _quantities(amplifier: Amplifier, fit: CurveFit, own: Sequence[PtcPoint], judge: Judge) -> list[Quantity]:
    name, gain, number = amplifier.name, fit.gain, fit.gain.number
    read_noise = fit.noise.value * gain.value
    error = math.hypot(fit.noise.error * gain.value, fit.noise.value * gain.error)
    turned = math.isfinite(fit.full_well.value)
    full = fit.full_well.value if turned else fit.highest
    header = f"the header says {amplifier.gain_e_adu:g} e-/ADU"
    found = [
        judge("gain", name, gain.value, gain.error, "e-/ADU", number, "GAIN_OOL", scale=amplifier.gain_e_adu,
              message=header),
        judge("read_noise", name, read_noise, error, "e-", number, "RON_OOL"),
        judge("read_noise_adu", name, fit.noise.value, fit.noise.error, "ADU", number, "RON_OOL"),
        judge("full_well", name, full * gain.value,
              math.hypot(fit.full_well.error * gain.value, full * gain.error) if turned else math.nan, "e-", number,
              "FULLWELL_OOL", message="" if turned else "a lower limit: the curve does not turn over"),
        judge("full_well_adu", name, full, fit.full_well.error, "ADU", number, "FULLWELL_OOL"),
    ]  # fmt: skip
    if number >= _FEWEST_TESTED:
        found.append(judge("chi2", name, fit.chi2, math.nan, "", number))
    if math.isfinite(fit.a00.error):
        found.append(judge("a00", name, fit.a00.value, fit.a00.error, "1/e-", number))
    brightest = max(own, key=lambda point: point.mean_adu)
    if turned and brightest.saturated > 0.5:
        message = f"the curve ends where {amplifier.saturation_adu:g} ADU are called saturated"
        found.append(judge("saturated", name, brightest.saturated, math.nan, "", 1, message=message))
    return found


def _figures(amplifier: Amplifier, fit: CurveFit, own: Sequence[PtcPoint]) -> list[Figure]:
    means = np.array([point.mean_adu for point in own])
    variances = np.array([point.variance_adu2 for point in own])
    errors = np.array([point.error_adu2 for point in own])
    out = ~fit.used
    line = np.linspace(0, means.max(), 100)
    curve = (
        series("fitted", means[fit.used], variances[fit.used], errors[fit.used]),
        series("not fitted", means[out], variances[out], errors[out]),
        series("model", line, fit.variance(line)),
    )
    model = fit.variance(means)
    percent, spread = (variances / model - 1) * 100, errors / model * 100
    off = (
        series("fitted", means[fit.used], percent[fit.used], spread[fit.used]),
        series("not fitted", means[out], percent[out], spread[out]),
    )
    return [
        Figure(f"ptc_{amplifier.name}", f"Photon transfer, {amplifier.name}", "mean ADU", "variance ADU²", curve),
        Figure(f"residuals_{amplifier.name}", f"Off the model, {amplifier.name}", "mean ADU", "%", off),
    ]


def _covariances(
    amplifier: Amplifier, fit: CurveFit, own: Sequence[PtcPoint], judge: Judge
) -> tuple[list[Quantity], list[Table], Figure] | None:
    good = [point for point, used in zip(own, fit.used, strict=True) if used]
    try:
        found = fit_covariances(
            [point.mean_adu for point in good],
            [point.covariances for point in good],
            [point.covariance_error for point in good],
            fit.gain.value,
            (fit.noise.value * fit.gain.value) ** 2,
        )
    except ValueError:
        return None
    name, lags = amplifier.name, found.a.shape[0]
    # both signs of each lag: the charge that is pushed away must arrive somewhere
    times = np.outer([1] + [2] * (lags - 1), [1] + [2] * (lags - 1))
    total = float((found.a * times).sum())
    error = float(np.sqrt(((found.a_error * times) ** 2).sum()))
    quantities = [
        judge("gain_covariances", name, found.gain.value, found.gain.error, "e-/ADU", found.gain.number, "GAIN_OOL",
              "gain", amplifier.gain_e_adu),
        judge("a00_covariances", name, float(found.a[0, 0]), float(found.a_error[0, 0]), "1/e-", found.gain.number),
        judge("a01", name, float(found.a[0, 1]), float(found.a_error[0, 1]), "1/e-", found.gain.number),
        judge("a10", name, float(found.a[1, 0]), float(found.a_error[1, 0]), "1/e-", found.gain.number),
        judge("a_sum", name, total, error, "1/e-", found.gain.number),
    ]  # fmt: skip
    rows = tuple(
        (float(j), float(i), float(found.a[j, i]), float(found.a_error[j, i]), float(found.noise[j, i]))
        for j in range(lags)
        for i in range(lags)
    )
    table = Table("covariances", name, ("rows", "columns", "a 1/e-", "error 1/e-", "noise e-²"), rows)
    figure = Figure(f"a_{name}", f"Brighter-fatter a, {name}", "columns", "rows", image=matrix(found.a))
    return quantities, [table, _kernel(name, found.a)], figure


def _kernel(name: str, a: F8) -> Table:
    kernel = brighter_fatter_kernel(a)
    half, rows = kernel.shape[0] // 2, []
    for (j, i), value in np.ndenumerate(kernel[half:, half:]):
        rows.append((float(j), float(i), float(value)))
    return Table("brighter_fatter_kernel", name, ("rows", "columns", "K 1/e-"), tuple(rows))


def _needs(_: PtcOptions) -> Needs:
    return Needs(LIT, least=2, reference=frozenset({"bias", "dark"}), by_filter=True)


PTC: Final = Kind("PTC", "gain, read noise and full well by photon transfer", PtcOptions, _needs, measure_ptc)
