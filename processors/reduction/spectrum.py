"""Making a spectrum of a frame: raw pixels, masters and an arc in, a table of flux against wavelength out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from processors.card_text import Card
from processors.errors import BadFrame, NoCalibration
from processors.fits import Frame, sha256_of
from processors.masters.build import Master
from processors.provenance import InputRef, kept_cards, provenance_cards, quick_look
from processors.spectra.night_sky import SkyLine
from processors.spectra.product import write_spectrum
from processors.spectra.reduce_spectrum import Planes, Spectrum, frame_planes, reduce_spectrum
from processors.spectra.setup import SpectrographSetup
from processors.spectra.signal_to_noise import Band, bands
from processors.spectra.standard import FluxRatio, flux_ratio

# Figures of a spectrum; what is not known of one is None.
NUMBERS: Final = ("wavelength_rms_a", "lines", "signal_to_noise", "sky_residual_a", "sky_shift_px")


@dataclass(frozen=True, slots=True)
class SlitExposure:
    """A frame of a slit spectrograph and what it is calibrated with.

    `bias`, `flat` and `bad_pixels` serve the arc too. `hashes` are of the bytes of frame and arc, by path, where known.
    """

    frame: Frame
    arc: Frame | None = None
    bias: Master | None = None
    flat: Master | None = None
    bad_pixels: Master | None = None
    hashes: Mapping[Path, str] = field(default_factory=dict)

    def inputs(self) -> Iterator[InputRef]:
        """All of it with its sha256, by role: frame, arc, bias, flat, badpix."""
        for role, frame in (("frame", self.frame), ("arc", self.arc)):
            if frame is not None:
                yield InputRef(frame.path.name, self.hashes.get(frame.path) or sha256_of(frame.path), role)
        for role, master in (("bias", self.bias), ("flat", self.flat), ("badpix", self.bad_pixels)):
            if master is not None:
                yield InputRef(master.path.name, master.sha256, role)


@dataclass(frozen=True, slots=True)
class SpectrumProduct:
    """A spectrum on disk, and what is to be known of it at once.

    Attributes
    ----------
    flags : NOBIAS, NOFLAT, NOARC for what was missing, BADARC for an arc that gave no wavelengths (the table is then in
        pixels), ARCSLIT for an arc through another slit, NOSKYLINES where no line of the sky checks the wavelengths,
        QUICKLOOK, NORATIO for a standard that gave no ratio, and those of the frame
    reasons : why, for a person
    wavelength_rms_a, lines : of the arc's lines, Å, and how many were fitted; None and 0 without wavelengths
    signal_to_noise : median per pixel of wavelength
    sky_line, sky_residual_a : the line of the sky whose place is known best, and what it is off by, Å, after all lines
        together have shifted the wavelengths by `sky_shift_px`
    bands : signal to noise in stretches of 250 Å
    """

    path: Path
    inputs: tuple[InputRef, ...]
    flags: tuple[str, ...]
    reasons: tuple[str, ...]
    wavelength_rms_a: float | None
    lines: int
    signal_to_noise: float
    sky_line: str
    sky_residual_a: float | None
    sky_shift_px: float
    others: int
    bands: tuple[Band, ...]

    def numbers(self) -> dict[str, float]:
        """What was measured and is known, by name."""
        found = {name: getattr(self, name) for name in NUMBERS}
        if self.sky_residual_a is None:
            del found["sky_shift_px"]
        return {name: value for name, value in found.items() if value is not None}

    def record(self) -> dict[str, Any]:
        """JSON record of it."""
        return {
            "spectrum": str(self.path),
            "inputs": {given.name: given.role for given in self.inputs},
            "sha256": {given.name: given.sha256 for given in self.inputs},
            "flags": self.flags,
            "reasons": self.reasons,
            **self.numbers(),
            "sky_line": self.sky_line,
            "others": self.others,
            "bands": [
                {"from_a": band.low_a, "to_a": band.high_a, "signal_to_noise": band.signal_to_noise}
                for band in self.bands
            ],
        }


def spectrum_frame(
    exposure: SlitExposure,
    path: Path | str,
    *,
    standard: SlitExposure | None = None,
    software: str = "nightferry",
) -> SpectrumProduct:
    """Extract the brightest object of a frame and write its spectrum to `path`, see `spectra.product.write_spectrum`.

    An arc or a standard that is of no use is flagged and left out; the frame's own faults are errors.

    Raises
    ------
    BadFrame
        The instrument file has no spectrograph for the frame; it cannot be reduced; or it shows no object.
    NoCalibration
        A master lacks the detector, or the flat holds no light.
    OSError
        Disk full, no permission, …
    """
    path = Path(path)
    frame = exposure.frame
    spectrum, flags, reasons = _extracted(exposure)
    ratio = None
    inputs = list(exposure.inputs())
    if standard is not None:
        try:
            ratio = _ratio(spectrum, exposure, standard)
        except (BadFrame, NoCalibration) as error:
            flags.append("NORATIO")
            reasons.append(f"no ratio to the standard {standard.frame.path.name}: {error}")
        else:
            known = {given.sha256 for given in inputs}
            inputs += [_of_standard(given) for given in standard.inputs() if given.sha256 not in known]
    approximation = _approximation(exposure)
    if approximation:
        flags.append("QUICKLOOK")
    flags = [*frame.identity.flags, *flags]
    cards = [*kept_cards(frame.headers[0], frame.identity), *provenance_cards("spectrum", software, inputs, ())]
    cards += [("NFFLAGS", " ".join(flags), "what is odd about it"), *_extra_cards(exposure, approximation)]
    write_spectrum(path, cards, spectrum, ratio)
    return _product(path, spectrum, tuple(inputs), tuple(flags), tuple(reasons))


def _extracted(exposure: SlitExposure) -> tuple[Spectrum, list[str], list[str]]:
    """The spectrum, flags, and their reasons."""
    frame, arc = exposure.frame, exposure.arc
    setup = frame.instrument.spectrograph(frame.headers)
    if setup is None:
        raise BadFrame(f"the file of {frame.instrument.name} has no spectrograph for it")
    flags = [f"NO{role.upper()}" for role in ("bias", "flat", "arc") if getattr(exposure, role) is None]
    reasons: list[str] = []
    science = _planes(exposure, frame, setup)
    spectrum: Spectrum | None = None
    if arc is not None:
        if arc.identity.slit != frame.identity.slit:
            flags.append("ARCSLIT")
            reasons.append(f"the arc is through {arc.identity.slit or 'no slit'}, not {frame.identity.slit or 'none'}")
        try:
            spectrum = reduce_spectrum(science, _planes(exposure, arc, setup), setup)
        except (BadFrame, NoCalibration) as error:
            fault = error
    if spectrum is None:
        spectrum = reduce_spectrum(science, None, setup)  # raises again what was not the arc's fault
        if arc is not None:
            flags.append("BADARC")
            reasons.append(f"no wavelengths from the arc {arc.path.name}: {fault}")
    if spectrum.solution is not None and not spectrum.sky_lines:
        flags.append("NOSKYLINES")
    return spectrum, flags, reasons


def _planes(exposure: SlitExposure, frame: Frame, setup: SpectrographSetup) -> Planes:
    if len(frame.setups) != 1:
        raise BadFrame(f"{frame.path.name}: a spectrum of {len(frame.setups)} detectors")
    detector = frame.setups[0].detector
    bias, flat, bad = exposure.bias, exposure.flat, exposure.bad_pixels
    return frame_planes(
        frame,
        setup,
        None if bias is None else bias.plane(detector),
        None if flat is None else flat.plane(detector),
        None if bad is None else bad.mask(detector),
    )


def _ratio(spectrum: Spectrum, exposure: SlitExposure, standard: SlitExposure) -> FluxRatio:
    other, _, reasons = _extracted(standard)
    if other.wavelength_a is None:
        raise NoCalibration("; ".join(reasons) or "it has no arc")
    times = exposure.frame.identity.exptime_s, standard.frame.identity.exptime_s
    return flux_ratio(spectrum, times[0], other, times[1])


def _of_standard(given: InputRef) -> InputRef:
    return InputRef(given.name, given.sha256, "standard" if given.role == "frame" else f"standard {given.role}")


def _approximation(exposure: SlitExposure) -> str:
    said = [quick_look(frame.headers[0]) for frame in (exposure.frame, exposure.arc) if frame is not None]
    return next((text for text in said if text), "")


def _extra_cards(exposure: SlitExposure, approximation: str) -> list[Card]:
    cards: list[Card] = []
    if approximation:
        cards.append(("NFQLOOK", approximation, "made from a quick look of frame or arc"))
    if exposure.arc is not None:
        identity = exposure.arc.identity
        cards += [("NFARCDAT", identity.date_obs, "start of the arc, UTC"), ("NFARCSLT", identity.slit, "its slit")]
    return cards


def _product(
    path: Path, spectrum: Spectrum, inputs: tuple[InputRef, ...], flags: tuple[str, ...], reasons: tuple[str, ...]
) -> SpectrumProduct:
    solution = spectrum.solution
    best = min(spectrum.sky_lines, key=lambda line: line.error_px, default=None)
    return SpectrumProduct(
        path=path,
        inputs=inputs,
        flags=flags,
        reasons=reasons,
        wavelength_rms_a=None if solution is None else solution.rms_a,
        lines=0 if solution is None else solution.place.size,
        signal_to_noise=float(np.median(spectrum.signal_to_noise)),
        sky_line="" if best is None else best.name,
        sky_residual_a=None if best is None else _residual_a(spectrum, best),
        sky_shift_px=spectrum.shift_px,
        others=spectrum.others,
        bands=() if spectrum.wavelength_a is None else bands(spectrum),
    )


def _residual_a(spectrum: Spectrum, line: SkyLine) -> float:
    """What a line is still off by when the wavelengths have been shifted, Å."""
    assert spectrum.wavelength_a is not None
    slope = np.gradient(spectrum.wavelength_a)[np.argmin(np.abs(spectrum.wavelength_a - line.wavelength_a))]
    return float((line.residual_px - spectrum.shift_px) * slope)
