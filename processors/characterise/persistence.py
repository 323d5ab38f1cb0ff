"""PERSISTENCE: what darks still show of a bright exposure, and how fast it fades."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processors.characterise.kind import Kind
from processors.characterise.result import POOR, Characterisation, Figure, FrameUse, Judge, Quantity, flags_of, series
from processors.characterise.sequence import LIT, DetectorSequence, Needs
from processors.characterise.signal import F4, F8, AmplifierSignal, master_signal, signals
from processors.fits import Frame
from processors.geometry import Amplifier
from processors.ptc import Measured
from processors.statistics import clipped

_DIM: Final = 0.02  # of the saturation: what is darker was not lit
_FEWEST: Final = 20  # pixels that say something
_SIGNIFICANT: Final = 5.0  # σ of the first dark from which a decay is fitted


@dataclass(frozen=True, slots=True)
class PersistenceOptions:
    """Options of PERSISTENCE."""

    bright: float = field(default=0.5, metadata={"help": "A pixel was bright above this part of its saturation."})


@dataclass(frozen=True, slots=True)
class Decay:
    """Charge that bright pixels release: `trapped` e- at the end of the bright exposure, and its time constant, s."""

    trapped: Measured
    time_s: Measured
    chi2: float

    def charge(self, starts_s: F8, ends_s: F8) -> F8:
        """Released between two times after the bright exposure, e-."""
        return released(starts_s, ends_s, self.trapped.value, self.time_s.value)


def measure_persistence(sequence: DetectorSequence, options: PersistenceOptions, judge: Judge) -> Characterisation:
    """Excess of the pixels that were bright in the last bright exposure, dark after dark.

    Excess over the pixels that were dark then, less the same excess before there was any light: darks before the first
    light or, without such, biases. A detector that was lit all over has only the latter to compare with.
    """
    lit = [frame for frame in sequence.references if frame.identity.obstype != "bias"]
    chosen = _choose(sequence.main, lit)
    if chosen is None:
        return _nothing(sequence, "no light before any of the darks")
    flash, after, uses = chosen
    before = [frame for frame in sequence.main if _start(frame) < _start(lit[0])]
    reference = master_signal(sequence, before or sequence.of_type("bias"))
    bright = signals(sequence, flash)
    darks = [signals(sequence, frame) for frame in after]
    starts = np.array([(_start(frame) - _end(flash)).total_seconds() for frame in after])
    ends = starts + [frame.identity.exptime_s for frame in after]
    quantities: list[Quantity] = []
    figures: list[Figure] = []
    messages: list[str] = []
    for n, amplifier in enumerate(sequence.setup(flash).amplifiers):
        spots, rest = _regions(bright[n], options.bright)
        if spots.sum() < _FEWEST or (rest.sum() < _FEWEST and reference is None):
            messages.append(
                f"amplifier {amplifier.name}: {int(spots.sum())} bright pixels, {int(rest.sum())} dark ones"
                + ("" if reference is not None else ", and no darks before or biases to compare with")
            )
            continue
        images = [dark[n].data if reference is None else dark[n].data - reference[n] for dark in darks]
        excess = [_excess(image, spots, rest, amplifier) for image in images]
        light = clipped(bright[n].data[spots])[0] * amplifier.gain_e_adu
        decay = fit_decay(starts, ends, excess)
        quantities += _quantities(amplifier, excess, decay, light, float(starts[0]), judge)
        figures.append(_figure(amplifier, excess, decay, starts, ends))
    if not quantities:
        return _nothing(sequence, "; ".join(messages), uses)
    if reference is None:
        messages.append("no darks before the light and no biases: patterns of the bias may count as persistence")
    return Characterisation(
        PERSISTENCE.name, sequence.instrument, sequence.detector, sequence.group, tuple(quantities),
        flags_of(quantities, [POOR] if reference is None else []), tuple(figures),
        frames=(FrameUse(str(flash.path), "bright"), *uses), messages=tuple(messages),
    )  # fmt: skip


def released(starts_s: F8, ends_s: F8, trapped: float, time_s: float) -> F8:
    """Charge that exponential traps release between two times: A (exp(-t₁/τ) - exp(-t₂/τ))."""
    return np.asarray(trapped * (np.exp(-np.asarray(starts_s) / time_s) - np.exp(-np.asarray(ends_s) / time_s)))


def fit_decay(starts_s: F8, ends_s: F8, charges_e: Sequence[Measured]) -> Decay | None:
    """Fit charge and time constant; None with fewer than three darks, with any that has no
    error, or with nothing that stands out in the first."""
    values = np.array([charge.value for charge in charges_e])
    errors = np.array([charge.error for charge in charges_e])
    known = np.isfinite(values).all() and bool((errors > 0).all()) and np.isfinite(errors).all()
    if values.size < 3 or not known or not values[0] > _SIGNIFICANT * errors[0]:
        return None
    from scipy.optimize import least_squares

    def pulls(p: F8) -> F8:
        return np.asarray((released(starts_s, ends_s, math.exp(p[0]), math.exp(p[1])) - values) / errors)

    time = float(ends_s[0] - starts_s[0])
    # τ between a tenth of the first dark and ten times the whole series; beyond, nothing tells
    low, high = math.log(0.1 * time), math.log(10 * float(ends_s[-1]))
    start = [math.log(values[0]) + 0.5, min(max(math.log(time), low + 0.1), high - 0.1)]
    done = least_squares(pulls, start, bounds=([-50, low], [50, high]))
    chi2 = 2 * float(done.cost) / (values.size - 2)
    sigma = np.sqrt(np.diag(np.linalg.pinv(done.jac.T @ done.jac)) * max(1.0, chi2))
    trapped, constant = (math.exp(float(value)) for value in done.x)
    return Decay(
        Measured(trapped, trapped * float(sigma[0]), values.size),
        Measured(constant, constant * float(sigma[1]), values.size),
        chi2,
    )


def _choose(darks: Sequence[Frame], lit: Sequence[Frame]) -> tuple[Frame, list[Frame], tuple[FrameUse, ...]] | None:
    """The last exposure to light that darks follow, these darks, and why others are left out."""
    for number in range(len(lit) - 1, -1, -1):
        end = _start(lit[number + 1]) if number + 1 < len(lit) else dt.datetime.max
        after = [dark for dark in darks if _start(lit[number]) < _start(dark) < end]
        if after:
            uses = [
                FrameUse(str(dark.path), "", "follows another exposure")
                for dark in darks
                if dark not in after and _start(dark) > _start(lit[0])
            ]
            uses += [FrameUse(str(f.path), "", "not the last exposure before darks") for f in lit if f != lit[number]]
            return lit[number], after, tuple(uses)
    return None


def _regions(flash: AmplifierSignal, bright: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels that were bright, and pixels that were not lit, away from the bright ones."""
    from scipy.ndimage import binary_dilation

    span = flash.amplifier.saturation_adu - flash.level_adu
    spots = flash.data >= np.float32(bright * span)
    near = binary_dilation(spots, iterations=5)
    return spots, (flash.data < np.float32(_DIM * span)) & ~near


def _excess(image: F4, spots: NDArray[np.bool_], rest: NDArray[np.bool_], amplifier: Amplifier) -> Measured:
    """Mean of the bright pixels above the others, or above 0 where there are no others, e-."""
    mean, sigma, number = clipped(image[spots])
    error = sigma / math.sqrt(number)
    if rest.sum() >= _FEWEST:
        level, scatter, pixels = clipped(image[rest])
        mean, error = mean - level, math.hypot(error, scatter / math.sqrt(pixels))
    return Measured(mean * amplifier.gain_e_adu, error * amplifier.gain_e_adu, number)


def _quantities(
    amplifier: Amplifier, excess: Sequence[Measured], decay: Decay | None, light_e: float, delay_s: float, judge: Judge
) -> list[Quantity]:
    name, flag, first = amplifier.name, "PERSIST_OOL", excess[0]
    message = f"{delay_s:.0f} s after {light_e:.0f} e-"
    found = [
        judge("persistence", name, first.value, first.error, "e-", first.number, flag, message=message),
        judge("persistence_ppm", name, first.value / light_e * 1e6, first.error / light_e * 1e6, "ppm", first.number,
              flag, message="of the bright signal, in the first dark"),
    ]  # fmt: skip
    if decay is not None:
        found += [
            judge("trapped", name, decay.trapped.value, decay.trapped.error, "e-", decay.trapped.number, flag),
            judge("decay_time", name, decay.time_s.value, decay.time_s.error, "s", decay.time_s.number, flag),
            judge("chi2", name, decay.chi2, math.nan, "", decay.time_s.number),
        ]
    return found


def _figure(amplifier: Amplifier, excess: Sequence[Measured], decay: Decay | None, starts: F8, ends: F8) -> Figure:
    times, middle = ends - starts, (starts + ends) / 2
    curves = [series("darks", middle, [e.value for e in excess] / times, [e.error for e in excess] / times)]
    if decay is not None:
        curves.append(series("model", middle, decay.charge(starts, ends) / times))
    name = amplifier.name
    return Figure(f"decay_{name}", f"Persistence, {name}", "s after the light", "e-/pix/s", tuple(curves))


def _nothing(sequence: DetectorSequence, message: str, uses: tuple[FrameUse, ...] = ()) -> Characterisation:
    return Characterisation(
        PERSISTENCE.name, sequence.instrument, sequence.detector, sequence.group, (), (POOR,),
        frames=uses, messages=(message,),
    )  # fmt: skip


def _start(frame: Frame) -> dt.datetime:
    return dt.datetime.fromisoformat(frame.identity.date_obs)


def _end(frame: Frame) -> dt.datetime:
    return _start(frame) + dt.timedelta(seconds=frame.identity.exptime_s)


def _needs(_: PersistenceOptions) -> Needs:
    def accept(frame: Frame) -> str:
        timeless = frame.identity.obstype == "dark" and frame.identity.exptime_s <= 0
        return "a dark of 0 s" if timeless else ""

    return Needs(frozenset({"dark"}), 1, LIT | {"bias", "science", "focus", "test"}, accept=accept)


PERSISTENCE: Final = Kind(
    "PERSISTENCE", "afterglow of a bright exposure in darks", PersistenceOptions, _needs, measure_persistence
)
