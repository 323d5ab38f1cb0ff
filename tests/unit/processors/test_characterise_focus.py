"""FOCUS asks the best position back from stars that blur with the distance from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.characterise.focus import FOCUS, FocusOptions, fit_focus
from processors.characterise.result import Characterisation
from processors.characterise.run import characterise
from tests.unit.processors.bench_camera import HALF, ROWS, BenchCamera, known, save

BEST, SEEING_PX, BLUR = 3.21, 3.0, 6.0  # position, FWHM there, FWHM px per unit of defocus


def stars(rng: np.random.Generator, fwhm: float, number: int = 40) -> np.ndarray:
    y, x = np.mgrid[0:ROWS, 0 : 2 * HALF]
    image = np.full((ROWS, 2 * HALF), 300.0)
    places = [
        (py + rng.uniform(-3, 3), px + rng.uniform(-3, 3)) for py in range(14, 190, 28) for px in range(14, 310, 32)
    ]
    sigma = fwhm / 2.3548
    for index in rng.choice(len(places), number, replace=False):
        cy, cx = places[index]
        flux = 10 ** rng.uniform(4.5, 5.3)
        image += flux / (2 * np.pi * sigma**2) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
    return image


def run(tmp_path: Path, seed: int, positions: Any, options: Any = None, number: int = 40) -> Characterisation:
    rng = np.random.default_rng(seed)
    bench, instruments = BenchCamera(rng), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "bias") for n in range(2)]
    for n, position in enumerate(positions, 2):
        fwhm = math.hypot(SEEING_PX, BLUR * (position - BEST)) * rng.normal(1, 0.01)
        raw = bench.raw(stars(rng, fwhm, number))
        cards = {"EXPTIME": 5.0, "FILTER": "r", "TELFOCUS": position}
        made.append(save(tmp_path, raw, instruments, n, "focus", **cards))
    return characterise(FOCUS, made, options)[0]


@pytest.mark.parametrize("seed", range(20))
def test_best_position_and_width_come_back(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, seed, (2.4, 2.8, 3.1, 3.4, 3.7, 4.0))
    best = found.value("best_focus")
    assert best.value == pytest.approx(BEST, abs=0.04)
    assert abs(best.value - BEST) < 4.5 * best.error
    assert best.error < 0.02
    assert found.value("best_fwhm").value == pytest.approx(SEEING_PX, rel=0.05)
    assert found.value("curvature").value == pytest.approx(BLUR**2, rel=0.1)
    assert found.flags == ()


def test_a_run_beside_the_focus_is_flagged(tmp_path: Path) -> None:
    found = run(tmp_path, 3, (3.5, 3.7, 3.9, 4.1, 4.3))
    assert found.flags == ("FOCUS_OOL",)
    assert found.value("best_focus").value == pytest.approx(BEST, abs=0.2)
    assert found.value("best_focus").message == "outside the positions of the run"


def test_frames_without_a_position_or_stars_are_left_out(tmp_path: Path) -> None:
    found = run(tmp_path, 4, (3.0, 3.2, 3.4), FocusOptions(card="SECFOCUS"))
    assert {use.reason for use in found.frames if not use.role} == {"no number in SECFOCUS"}
    assert found.messages == ("a focus needs three positions, there are 0",)
    assert found.flags == ("POORQUALDATA",)
    few = run(tmp_path, 4, (3.0, 3.2, 3.4), number=2)
    assert few.flags == ("POORQUALDATA",)
    assert all(use.reason for use in few.frames if use.role != "bias")


@pytest.mark.parametrize("seed", range(20))
def test_parabola_survives_one_bad_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = np.linspace(-1, 1.4, 9)
    widths = np.hypot(2.5, 4 * (positions - 0.3)) * rng.normal(1, 0.02, 9)
    widths[3] *= 2  # somebody shook the telescope
    fit = fit_focus(positions, widths, 0.02 * widths)
    assert not fit.fit.used[3]
    assert abs(fit.best.value - 0.3) < 4.5 * fit.best.error
    assert fit.best.value == pytest.approx(0.3, abs=0.05)
    assert fit.fwhm(np.array([0.3]))[0] == pytest.approx(2.5, rel=0.05)


def test_widths_that_do_not_change_have_no_minimum() -> None:
    fit = fit_focus(np.arange(5.0), np.array([3.0, 3.1, 3.0, 2.9, 3.0]), np.full(5, 0.1))
    assert math.isnan(fit.best.value)
    with pytest.raises(ValueError, match="three positions"):
        fit_focus(np.array([1.0, 1.0, 2.0]), np.ones(3), np.ones(3))
