"""A quick-look spectrum of a long-slit frame: sky, trace, extraction and wavelengths in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from processors.errors import BadFrame
from processors.fits import Frame
from processors.isr.signature import remove_signature
from processors.spectra.extract import Extraction, SpectrumFlag, extract
from processors.spectra.flat import pixel_flat
from processors.spectra.night_sky import SkyLine, measure_sky_lines, sky_shift
from processors.spectra.setup import ExtractionOptions, SpectrographSetup
from processors.spectra.sky import fit_sky
from processors.spectra.slit_image import SlitImage, slit_image
from processors.spectra.trace import Trace, find_traces
from processors.spectra.wavelength import WavelengthSolution, solve_wavelength

F4 = NDArray[np.float32]


class Planes(Protocol):
    """A reduced detector (rows, columns): e-, e-², bits of `planes.Mask`; `isr.Calibrated` is one."""

    @property
    def sci(self) -> NDArray[Any]: ...
    @property
    def var(self) -> NDArray[Any]: ...
    @property
    def mask(self) -> NDArray[np.uint16]: ...


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A spectrum of one object.

    Attributes
    ----------
    wavelength_a : air, Å, float64, shifted to the sky's lines; None without an arc
    extraction : fluxes, variances, sky and flags along the pixels
    trace, others : the object, and how many others there are on the slit
    solution : of the arc; None without one
    sky_lines : as the arc alone has them
    shift_px : by which the wavelengths were moved, pixels
    read_var_e2 : read noise squared of the aperture, e-²
    """

    wavelength_a: NDArray[np.float64] | None
    extraction: Extraction
    trace: Trace
    others: int
    solution: WavelengthSolution | None
    sky_lines: tuple[SkyLine, ...]
    shift_px: float
    read_var_e2: float

    @property
    def signal_to_noise(self) -> NDArray[np.float64]:
        """Of the optimal extraction, per pixel of wavelength; 0 where there is no flux."""
        made = self.extraction
        return np.asarray(made.optimal_e / np.sqrt(np.where(made.optimal_var_e2 > 0, made.optimal_var_e2, np.inf)))


def frame_planes(
    frame: Frame,
    setup: SpectrographSetup,
    bias: F4 | None = None,
    flat: F4 | None = None,
    bad: NDArray[np.uint16] | None = None,
) -> Planes:
    """Reduce the one detector of a spectrum's frame; the lamp's spectrum is first taken out of the flat.

    Parameters
    ----------
    bias, flat, bad : planes of masters, as `Master.plane` and `Master.mask` give them

    Raises
    ------
    BadFrame
        It has several detectors, or none; or the raw frame cannot be reduced.
    NoCalibration
        The flat holds no light.
    """
    if len(frame.setups) != 1:
        raise BadFrame(f"a spectrum of {len(frame.setups)} detectors")
    detector = frame.setups[0]
    made = None if flat is None else pixel_flat(flat, setup)
    return remove_signature(frame.image(detector), detector, bias, made, bad)


def reduce_spectrum(
    science: Planes,
    arc: Planes | None,
    setup: SpectrographSetup,
    options: ExtractionOptions | None = None,
    number: int = 0,
) -> Spectrum:
    """Extract an object of a frame, the brightest (0) or the `number`-th after it, with wavelengths along its trace.

    Raises
    ------
    BadFrame
        NaN, no such object, no sky beside it, or an arc of another size.
    NoCalibration
        The arc gives no wavelengths to be trusted; without an arc (None) the spectrum is in pixels only.
    BadInstrument
        A lamp has no line list.
    """
    options = options or ExtractionOptions()
    image = slit_image(science.sci, science.var, science.mask, setup)
    traces = find_traces(image, options)
    if not 0 <= number < len(traces):
        raise BadFrame(f"no object {number} on the slit, there are {len(traces)}")
    trace, others = traces[number], traces[:number] + traces[number + 1 :]
    sky = fit_sky(image, trace, others, options)
    made = extract(image, trace, sky, options)
    if arc is None:
        return _spectrum(image, made, trace, len(others), None)
    lamp = slit_image(arc.sci, arc.var, arc.mask, setup, "the arc")
    if lamp.sci.shape != image.sci.shape:
        raise BadFrame(f"the arc has {lamp.sci.shape}, the frame {image.sci.shape} pixels")
    return _spectrum(image, made, trace, len(others), solve_wavelength(lamp, trace.position, setup))


def _spectrum(
    image: SlitImage, made: Extraction, trace: Trace, others: int, solution: WavelengthSolution | None
) -> Spectrum:
    read_var = image.read_var * made.aperture_px
    if solution is None:
        return Spectrum(None, made, trace, others, None, (), 0.0, read_var)
    lines = measure_sky_lines(made.sky_e, np.maximum(made.sky_e, 0) + read_var, solution)
    shift = sky_shift(lines)
    place = np.arange(made.flux_e.size, dtype=np.float64)
    wavelength = solution.polynomial(place - shift)
    low, high = solution.covered_a
    outside = (wavelength < low) | (wavelength > high)
    flags = made.flags | np.where(outside, SpectrumFlag.EXTRAPOLATED, 0).astype(np.uint8)
    made = replace(made, flags=flags)
    return Spectrum(wavelength, made, trace, others, solution, lines, shift, read_var)
