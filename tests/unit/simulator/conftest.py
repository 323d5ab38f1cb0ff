"""A small simulated night, made once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from processors.fits import read_image
from processors.header import read_headers
from processors.instrument import load_instruments
from processors.simulator.camera import Camera, build_camera
from processors.simulator.night import SimulatedFrame, simulate_night
from processors.simulator.options import NightOptions

OPTIONS = NightOptions(seed=11, detectors=2, width=256, height=512, biases=4, darks=2, dithers=2, targets=1)


@dataclass(frozen=True)
class Night:
    """A night on the disk with its truth."""

    root: Path
    options: NightOptions
    camera: Camera
    frames: list[SimulatedFrame]
    truth: dict[str, Any]

    def of(self, obstype: str, band: str | None = None) -> list[SimulatedFrame]:
        """Frames of a kind."""
        return [f for f in self.frames if f.planned.obstype == obstype and (band is None or f.planned.band == band)]

    def raw(self, frame: SimulatedFrame, detector: int) -> npt.NDArray[np.float64]:
        """Raw pixels of a detector."""
        return read_image(frame.path, read_headers(frame.path)[detector]).astype(np.float64)

    def electrons(self, frame: SimulatedFrame, detector: int) -> npt.NDArray[np.float64]:
        """Light-sensitive pixels less overscan row by row, by the gain cards, in electrons."""
        headers = read_headers(frame.path)
        setup = load_instruments().named("simcam").setups(headers, frame.path.name)[detector - 1]
        raw = self.raw(frame, detector)
        image = np.empty(setup.shape)
        for amplifier in setup.amplifiers:
            assert amplifier.overscan is not None
            level = raw[amplifier.overscan.slices].mean(axis=1, keepdims=True)  # a median would count in whole ADU
            image[amplifier.trimmed.slices] = (raw[amplifier.data.slices] - level) * amplifier.gain_e_adu
        return image


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Four biases, two darks, four flats, a standard and two dithers in g and r, on two detectors."""
    root = tmp_path_factory.mktemp("night")
    frames = list(simulate_night(root, OPTIONS, truth=root / "truth"))
    truth = json.loads((root / "truth" / "truth.json").read_text("utf-8"))
    return Night(root, OPTIONS, build_camera(OPTIONS), frames, truth)
