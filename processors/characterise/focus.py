"""FOCUS: where a telescope is sharpest, from exposures at several positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from processors.characterise.kind import Kind
from processors.characterise.least_squares import LinearFit, linear_fit
from processors.characterise.result import (
    POOR,
    Characterisation,
    Figure,
    FrameUse,
    Judge,
    Quantity,
    Table,
    flags_of,
    series,
)
from processors.characterise.sequence import DetectorSequence, Needs
from processors.characterise.signal import F4, F8, master_signal, signals
from processors.fits import Frame
from processors.photometry.quick import quick_look
from processors.photometry.seeing import Seeing, measure_seeing
from processors.photometry.sources import find_sources
from processors.planes import Mask
from processors.ptc import Measured

# where telescopes write the position, the telling ones first
_CARDS: Final = ("TELFOCUS", "FOCUSPOS", "FOCPOS", "ESO TEL FOCU VALUE", "FOCUS")
_CURVED: Final = 3.0  # σ by which the parabola must open upwards


@dataclass(frozen=True, slots=True)
class FocusOptions:
    """Options of FOCUS."""

    card: str = field(default="", metadata={"help": f"Card with the position; without it {', '.join(_CARDS)}."})
    least: int = field(default=5, metadata={"help": "Frames without so many stars are left out."})
    steady: float = field(default=0.02, metadata={"help": "How steady the seeing is between frames, relative."})


@dataclass(frozen=True, slots=True)
class Sharpness:
    """A frame of the run: its position, its seeing."""

    frame: Frame
    position: float
    seeing: Seeing


@dataclass(frozen=True, slots=True)
class FocusFit:
    """Vertex of the parabola: position and FWHM (px), NaN without a minimum; `curvature` px² over position²."""

    best: Measured
    fwhm_px: Measured
    curvature: Measured
    centre: float
    fit: LinearFit

    def fwhm(self, positions: F8) -> F8:
        """The model's FWHM, px; NaN where it is not a width."""
        square = np.vander(np.asarray(positions) - self.centre, 3, increasing=True) @ self.fit.coefficients
        return np.asarray(np.sqrt(np.where(square > 0, square, np.nan)))


def measure_focus(sequence: DetectorSequence, options: FocusOptions, judge: Judge) -> Characterisation:
    """Best position and the FWHM there, from the median FWHM of the stars of each frame."""
    structure = master_signal(sequence, sequence.of_type("bias"))
    measured: list[Sharpness] = []
    uses: list[FrameUse] = []
    for frame in sequence.main:
        position = position_of(frame, options.card)
        if position is None:
            uses.append(FrameUse(str(frame.path), "", f"no number in {options.card or ', '.join(_CARDS)}"))
            continue
        seeing = _seeing(sequence, frame, structure)
        if not (math.isfinite(seeing.fwhm_px) and seeing.number >= options.least):
            uses.append(FrameUse(str(frame.path), "", seeing.reason or f"{seeing.number} stars"))
            continue
        measured.append(Sharpness(frame, position, seeing))
    positions = np.array([one.position for one in measured])
    widths = np.array([one.seeing.fwhm_px for one in measured])
    errors = np.hypot([one.seeing.error_px for one in measured], options.steady * widths)
    try:
        fit = fit_focus(positions, widths, errors)
    except ValueError as problem:
        return Characterisation(
            FOCUS.name, sequence.instrument, sequence.detector, sequence.group, (), (POOR,),
            frames=tuple(uses), messages=(str(problem),),
        )  # fmt: skip
    quantities = _quantities(fit, measured, judge)
    rows = tuple((o.position, o.seeing.fwhm_px, o.seeing.error_px, float(o.seeing.number)) for o in measured)
    return Characterisation(
        FOCUS.name, sequence.instrument, sequence.detector, sequence.group, quantities, flags_of(quantities),
        (_figure(fit, positions, widths, errors),),
        (Table("frames", "", ("position", "fwhm px", "error px", "stars"), rows),), tuple(uses),
    )  # fmt: skip


def fit_focus(positions: F8, fwhm_px: F8, errors_px: F8) -> FocusFit:
    """Parabola through the squares of the FWHM, which add: seeing² and a blur that grows in proportion to defocus.

    So the fit holds far from the focus too, where a parabola through the FWHM itself would be too wide. Points 5 σ off
    are rejected. Where it does not open upwards by 3 σ there is no minimum.

    Raises
    ------
    ValueError
        Fewer than three positions.
    """
    different = np.unique(positions).size
    if different < 3:
        raise ValueError(f"a focus needs three positions, there are {different}")
    centre = float(positions.mean())
    design = np.vander(positions - centre, 3, increasing=True)
    fit = linear_fit(design, fwhm_px**2, 2 * fwhm_px * errors_px)
    number = int(fit.used.sum())
    c, b, a = (float(value) for value in fit.coefficients)
    curvature = Measured(a, fit.error(2), number)
    nothing = Measured(math.nan, math.nan, number)
    if not a > _CURVED * curvature.error:
        return FocusFit(nothing, nothing, curvature, centre, fit)
    vertex, square = -b / (2 * a), c - b * b / (4 * a)
    # partial derivatives of both with respect to c, b, a
    slope_vertex = np.array([0, -1 / (2 * a), b / (2 * a * a)])
    slope_square = np.array([1, -b / (2 * a), b * b / (4 * a * a)])
    best = Measured(centre + vertex, math.sqrt(float(slope_vertex @ fit.covariance @ slope_vertex)), number)
    width = nothing
    if square > 0:
        spread = math.sqrt(float(slope_square @ fit.covariance @ slope_square))
        width = Measured(math.sqrt(square), spread / (2 * math.sqrt(square)), number)
    return FocusFit(best, width, curvature, centre, fit)


def position_of(frame: Frame, card: str = "") -> float | None:
    """Position of the focus in a frame's headers, None without such a card or where it holds no finite number."""
    for name in (card,) if card else _CARDS:
        for header in frame.headers:
            value = header.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
    return None


def _seeing(sequence: DetectorSequence, frame: Frame, structure: Sequence[F4] | None) -> Seeing:
    """Seeing of the detector: by its brightest stars or, where these do not do, by all."""
    setup = sequence.setup(frame)
    sci, var = np.zeros(setup.shape, np.float32), np.zeros(setup.shape, np.float32)
    mask = np.zeros(setup.shape, np.uint16)
    for n, signal in enumerate(signals(sequence, frame)):
        amplifier, place = signal.amplifier, signal.amplifier.trimmed.slices
        electrons = (signal.data if structure is None else signal.data - structure[n]) * np.float32(
            amplifier.gain_e_adu
        )
        sci[place] = electrons
        var[place] = np.maximum(electrons, 0) + np.float32(amplifier.read_noise_e**2)
        full = signal.data + np.float32(signal.level_adu) >= amplifier.saturation_adu
        mask[place][full] = np.uint16(Mask.SATURATED)
    scale = frame.instrument.pixel_scale_arcsec(frame.headers)
    quick = quick_look(sci, mask, scale).seeing
    if math.isfinite(quick.fwhm_px):
        return quick
    return measure_seeing(find_sources(sci, var, mask), scale)


def _quantities(fit: FocusFit, measured: Sequence[Sharpness], judge: Judge) -> tuple[Quantity, ...]:
    flag, number = "FOCUS_OOL", fit.best.number
    positions = [one.position for one in measured]
    message = "" if math.isfinite(fit.best.value) else "the FWHM has no minimum"
    best = judge("best_focus", "", fit.best.value, fit.best.error, "", number, flag, message=message)
    if not min(positions) <= fit.best.value <= max(positions) and math.isfinite(fit.best.value):
        best = replace(best, verdict="warning", flag=flag, message="outside the positions of the run")
    found = [best, judge("best_fwhm", "", fit.fwhm_px.value, fit.fwhm_px.error, "px", number, flag)]
    scale = measured[0].frame.instrument.pixel_scale_arcsec(measured[0].frame.headers)
    if scale is not None:
        width = fit.fwhm_px
        found.append(judge("best_fwhm_arcsec", "", width.value * scale, width.error * scale, "arcsec", number, flag))
    found.append(judge("curvature", "", fit.curvature.value, fit.curvature.error, "px²", number, flag))
    found.append(judge("chi2", "", fit.fit.chi2_per_dof, math.nan, "", number))
    return tuple(found)


def _figure(fit: FocusFit, positions: F8, widths: F8, errors: F8) -> Figure:
    line = np.linspace(positions.min(), positions.max(), 100)
    model = fit.fwhm(line)
    used, good = fit.fit.used, np.isfinite(model)
    return Figure("focus", "FWHM against the position of the focus", "position", "px", (
        series("fitted", positions[used], widths[used], errors[used]),
        series("not fitted", positions[~used], widths[~used], errors[~used]),
        series("model", line[good], model[good]),
    ))  # fmt: skip


def _needs(_: FocusOptions) -> Needs:
    return Needs(frozenset({"focus"}), least=3, reference=frozenset({"bias"}), by_filter=True)


FOCUS: Final = Kind("FOCUS", "best focus from the widths of stars", FocusOptions, _needs, measure_focus)
