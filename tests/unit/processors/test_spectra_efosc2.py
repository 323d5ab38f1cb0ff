"""Long-slit spectra of a real night: EFOSC2 at the NTT, grism 3, He-Ar arc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.check_frame import open_frame
from processors.fits import Frame
from processors.instrument import load_instruments
from processors.isr.signature import remove_signature
from processors.spectra.reduce_spectrum import Spectrum, frame_planes, reduce_spectrum
from processors.spectra.setup import SpectrographSetup
from processors.spectra.standard import flux_ratio

ROUGH = SpectrographSetup("y", ("He", "Ar"), dispersion_a_px=3.0, centre_a=4500)
BLIND = SpectrographSetup("y", ("He", "Ar"))


@dataclass
class Night:
    bias: NDArray[np.float32]
    flat: NDArray[np.float32]
    arc: Frame
    science: list[Frame]
    standard: Frame

    def reduce(self, frame: Frame, setup: SpectrographSetup) -> Spectrum:
        planes = [frame_planes(one, setup, self.bias, self.flat) for one in (frame, self.arc)]
        return reduce_spectrum(planes[0], planes[1], setup)


@pytest.fixture(scope="module")
def night(shared_data: Path) -> Night:
    known = load_instruments()
    frames = [open_frame(path, known) for path in sorted((shared_data / "raw/efosc2_ntt").iterdir())]
    setup = frames[0].setups[0]
    gain = setup.amplifiers[0].gain_e_adu
    bias = np.median([remove_signature(one.image(setup), setup).sci / gain for one in frames[:5]], axis=0)
    bias = bias.astype(np.float32)
    flats = [remove_signature(one.image(one.setups[0]), one.setups[0], bias).sci for one in frames[5:8]]
    return Night(bias, np.median(flats, axis=0).astype(np.float32), frames[8], frames[9:11], frames[17])


@pytest.mark.parametrize("setup", [ROUGH, BLIND], ids=["rough", "blind"])
def test_first_spectra(night: Night, setup: SpectrographSetup) -> None:
    for frame in night.science:
        spectrum = night.reduce(frame, setup)
        solution = spectrum.solution
        assert solution is not None
        assert spectrum.wavelength_a is not None
        # the grism gives 3000 to 6030 Å at 3.0 Å per binned pixel, a line is 14 Å wide
        assert spectrum.wavelength_a[0] == pytest.approx(3010, abs=25)
        assert spectrum.wavelength_a[-1] == pytest.approx(6030, abs=25)
        assert solution.fwhm_a == pytest.approx(14, abs=2)
        assert solution.rms_a < 0.9
        assert solution.place.size >= 9
        # the arc is from the afternoon: the sky's line lies 5 Å off, the same in both frames within 2 Å
        sky = {line.name: line for line in spectrum.sky_lines}
        assert sky["OI 5577"].residual_a == pytest.approx(-5.1, abs=1)
        assert abs(sky["OI 5577"].residual_px - spectrum.shift_px) < 0.1
        # and then the sodium line, which hardly weighs, is where it should be within its own 1.5 Å and errors
        assert abs(sky["NaD 5892"].residual_px - spectrum.shift_px) * 3.2 < 3
        assert np.median(spectrum.signal_to_noise) > 4


def test_the_standard_and_a_ratio_to_it(night: Night) -> None:
    standard = night.reduce(night.standard, ROUGH)
    assert np.median(standard.signal_to_noise) > 80
    # 15 s through a slit of 5 arcsec show no line of the sky: nothing checks the wavelengths
    assert standard.sky_lines == ()
    spectrum = night.reduce(night.science[1], ROUGH)
    ratio = flux_ratio(spectrum, night.science[1].identity.exptime_s, standard, night.standard.identity.exptime_s)
    assert 5 < ratio.fainter_mag() < 10
    assert ratio.known.mean() > 0.8
