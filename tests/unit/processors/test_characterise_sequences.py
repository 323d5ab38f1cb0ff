"""Which frames make a sequence, what is left out and why, and what bad pixels do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.characterise.bias import BIAS
from processors.characterise.least_squares import linear_fit
from processors.characterise.registry import KINDS
from processors.characterise.result import MOST_POINTS, series
from processors.characterise.run import characterise
from processors.characterise.sequence import Needs, renamed, sequences
from processors.errors import BadFrame
from tests.unit.processors.bench_camera import BenchCamera, known, save


def test_every_frame_has_a_role_or_a_reason(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    raw = bench.raw(1e3)
    made = [
        save(tmp_path, raw, instruments, 0, "flat", FILTER="g"),
        save(tmp_path, raw, instruments, 1, "flat", FILTER="r"),
        save(tmp_path, raw, instruments, 2, "bias"),
        save(tmp_path, raw, instruments, 3, "dark"),
    ]
    again = tmp_path / "again"
    again.mkdir()
    made.append(save(again, raw, instruments, 2, "bias"))
    found, left_out = sequences(made, Needs(frozenset({"flat"}), 1, frozenset({"bias"}), by_filter=True))
    assert [(s.group, len(s.main), len(s.references)) for s in found] == [("g", 1, 1), ("r", 1, 1)]
    reasons = {use.reason for use in left_out}
    assert reasons == {"obstype dark, not bias, flat", "the same exposure as bias002.fits"}
    placed = {use.file for s in found for use in s.frames} | {use.file for use in left_out}
    assert placed == {str(frame.path) for frame in made}


def test_a_file_name_may_say_what_a_frame_is(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    made = [save(tmp_path, bench.raw(0.0), instruments, n, "flat") for n in range(2)]
    changed = renamed(made, [("flat*", "dark"), ("*001*", "bias")])
    assert [frame.identity.obstype for frame in changed] == ["dark", "bias"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_nan_is_bad_data_for_every_kind(tmp_path: Path, kind: object) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    raw = bench.raw(1e4).astype(np.float32)
    raw[100, 100] = np.nan
    made = []
    for number, obstype in enumerate(["bias", "flat", "dark", "focus"] * 5):
        cards = {"EXPTIME": 0.0 if obstype == "bias" else 1.0 + number, "FILTER": "g", "FOCUS": float(number)}
        made.append(save(tmp_path, raw, instruments, number, obstype, **cards))
    with pytest.raises(BadFrame, match="NaN"):
        characterise(kind, made)  # type: ignore[arg-type]


def test_too_few_frames_are_missing_data(tmp_path: Path) -> None:
    bench, instruments = BenchCamera(np.random.default_rng(0)), known(tmp_path)
    (found,) = characterise(BIAS, [save(tmp_path, bench.raw(0.0), instruments, 0, "bias")])
    assert (found.flags, found.quantities) == (("MISSDATA",), ())
    assert found.messages == ("BIAS needs 2 frames of obstype bias, there are 1",)


def test_long_curves_are_drawn_by_means_that_keep_their_sum() -> None:
    values = np.random.default_rng(0).normal(5, 1, 4096)
    drawn = series("", np.arange(4096), values, np.ones(4096))
    assert len(drawn.x) == len(drawn.y) == len(drawn.error) == MOST_POINTS
    assert np.mean(drawn.y) == pytest.approx(values.mean())
    assert drawn.error[0] == pytest.approx(1 / np.sqrt(8))


@pytest.mark.parametrize("seed", range(20))
def test_linear_fit_against_the_textbook_and_in_spite_of_outliers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, error = np.linspace(0, 4, 40), rng.uniform(0.5, 1.5, 40)
    design = np.column_stack([np.ones(40), x])
    y = rng.normal(3 + 2 * x, error)
    plain = linear_fit(design, y, error)
    weights = np.diag(error**-2)
    covariance = np.linalg.inv(design.T @ weights @ design)
    expected = covariance @ design.T @ weights @ y
    assert plain.coefficients == pytest.approx(expected, rel=1e-9)
    assert plain.covariance == pytest.approx(covariance * max(1.0, plain.chi2_per_dof), rel=1e-6)
    y[[3, 30]] += [40, -60]
    robust = linear_fit(design, y, error)
    assert np.flatnonzero(~robust.used).tolist() == [3, 30]
    assert abs(robust.coefficients[1] - 2) < 5 * robust.error(1)
