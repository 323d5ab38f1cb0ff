"""Simulated detectors, reduced with the true maps: bias, gain, dark and flat come back, and the pulls are normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processors.geometry import Amplifier, DetectorSetup, parse_section
from processors.isr.signature import Calibrated, remove_signature
from processors.planes import Mask
from processors.ptc import gain_from_pair
from processors.simulator.camera import Camera, DetectorTruth, build_camera
from processors.simulator.expose import DetectorExposure, expose
from processors.simulator.options import NightOptions
from processors.simulator.patterns import dome_light, pattern, response
from processors.simulator.plan import PlannedExposure, plan_night
from processors.statistics import clipped

SEEDS = range(20)


@dataclass(frozen=True)
class Night:
    """One detector of a small night and its true maps."""

    options: NightOptions
    camera: Camera
    detector: DetectorTruth
    setup: DetectorSetup

    def exposures(self, obstype: str) -> list[tuple[PlannedExposure, DetectorExposure]]:
        """Simulated frames of a kind."""
        plan = [planned for planned in plan_night(self.options) if planned.obstype == obstype]
        return [(planned, expose(self.options, self.camera, planned, self.detector)) for planned in plan]

    @property
    def maps(self) -> Any:
        """Bias structure, dark current, …"""
        return pattern(self.camera, self.detector)


def night(seed: int, **changes: Any) -> Night:
    options = NightOptions(seed=seed, detectors=1, width=128, height=192, filters=("r",), hk=False, **changes)
    camera = build_camera(options)
    (detector,) = camera.detectors
    amplifiers = []
    for number, truth in enumerate(detector.amplifiers):
        cards = camera.geometry.sections(number)
        amplifiers.append(
            Amplifier(
                truth.name,
                parse_section(cards["TRIMSEC"], "data"),
                parse_section(cards["BIASSEC"], "overscan"),
                True,
                truth.gain_e_adu,
                truth.read_noise_e,
                truth.saturation_adu,
                parse_section(cards["CCDSEC"], "trimmed"),
            )
        )
    return Night(options, camera, detector, DetectorSetup("1", 0, tuple(amplifiers), (192, 128), ()))


def core(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and σ without cosmic rays."""
    return clipped(values)[:2]


def reduced(given: Night, shot: DetectorExposure, **calibrations: Any) -> Calibrated:
    return remove_signature(shot.raw, given.setup, given.maps.bias, **calibrations)


def extra(given: Night) -> float:
    """By how much rounding, and the median of 50 rounded overscan pixels, widen the read noise."""
    noise2_adu = np.mean([(a.read_noise_e / a.gain_e_adu) ** 2 for a in given.setup.amplifiers])
    return float(np.sqrt(1 + 1.57 / 50 + (1 / 12 + 1 / 24) / noise2_adu))


def test_bias_structure_and_read_noise() -> None:
    means, sigmas, structure = [], [], []
    for seed in SEEDS:
        given = night(seed, biases=6, darks=0)
        frames = [remove_signature(shot.raw, given.setup) for _, shot in given.exposures("bias")]
        pulls = [(f.sci / gains(given) - given.maps.bias) * gains(given) / np.sqrt(noise2(given)) for f in frames]
        mean, sigma = core(np.stack(pulls))
        means.append(mean)
        sigmas.append(sigma / extra(given))
        master = np.mean([f.sci for f in frames], axis=0) / gains(given)
        left = core(master - given.maps.bias)
        structure.append(left[1])
    assert np.abs(means).max() < 0.05
    np.testing.assert_allclose(sigmas, 1, rtol=0.02)
    assert max(structure) < 1.1 * 8.2 / 3.8 / np.sqrt(6) * 1.05  # ADU, as read noise allows


def test_dark_current() -> None:
    found = []
    for seed in SEEDS:
        given = night(seed, biases=1, darks=2, dark_s=2000.0)
        for planned, shot in given.exposures("dark"):
            made = reduced(given, shot, dark_e_s=given.maps.dark, exptime_s=planned.exptime_s)
            fine = (made.mask == 0) & ~given.maps.hot & (given.maps.dark < 1)
            mean, sigma = core((made.sci / np.sqrt(noise2(given) + given.maps.dark * planned.exptime_s))[fine])
            assert abs(mean) < 0.06
            assert sigma == pytest.approx(extra(given), rel=0.03)
            # hot pixels are subtracted as well as the others, but for their noise
            hot = given.maps.hot & (made.mask == 0)
            if hot.any():
                assert np.median((made.sci / np.sqrt(made.var))[hot]) < 3
            plain = reduced(given, shot)
            found.append(core(plain.sci[fine])[0] / planned.exptime_s / given.detector.dark_e_s)
    assert np.mean(found) == pytest.approx(1, abs=0.02)


def test_flat_and_variance() -> None:
    for seed in SEEDS:
        given = night(seed, biases=1, darks=0, flats=2)
        flat = response(given.camera, given.detector, "r") * dome_light(given.camera, given.detector)
        for _, shot in given.exposures("flat"):
            made = reduced(given, shot, flat=flat)
            fine = (made.mask == 0) & (flat > 0.5)
            pull = ((made.sci - shot.light_e) / np.sqrt(made.var))[fine]
            mean, sigma = core(pull)
            assert abs(mean) < 0.05
            assert sigma == pytest.approx(1, rel=0.03)
            assert np.median(made.sci[fine]) / shot.light_e == pytest.approx(1, abs=2e-4)


def test_gain_from_pairs_of_flats() -> None:
    ratios = []
    for seed in SEEDS:
        given = night(seed, biases=1, darks=0, flats=2)
        a, b = (reduced(given, shot) for _, shot in given.exposures("flat"))
        for amplifier in given.setup.amplifiers:
            place, gain = amplifier.trimmed.slices, amplifier.gain_e_adu
            noise = amplifier.read_noise_e / gain
            measured = gain_from_pair(a.sci[place] / gain, b.sci[place] / gain, noise, box=30)
            ratios.append(measured.value / gain)
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)
    assert np.std(ratios) < 0.04


def test_full_wells_are_saturated() -> None:
    seen = 0
    for seed in range(3):
        given = night(seed, biases=1, darks=0, flats=1, flat_level_e=170_000.0)
        for _, shot in given.exposures("flat"):
            made = reduced(given, shot)
            seen += shot.saturated_pixels
            assert ((made.mask & Mask.SATURATED) != 0).sum() >= shot.saturated_pixels
    assert seen > 0


def gains(given: Night) -> NDArray[np.float32]:
    """Gain of every column."""
    return np.repeat([a.gain_e_adu for a in given.setup.amplifiers], 64).astype(np.float32)


def noise2(given: Night) -> NDArray[np.float32]:
    """Read noise² of every column, e-²."""
    return np.repeat([a.read_noise_e**2 for a in given.setup.amplifiers], 64).astype(np.float32)
