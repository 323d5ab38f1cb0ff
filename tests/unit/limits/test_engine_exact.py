"""The engine against the slow reference, cut anywhere and restarted anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.housekeeping.limits.book import LimitBook, load_limits
from services.housekeeping.limits.engine import Engine
from services.housekeeping.samples import Samples
from tests.unit.limits.reference import Reference, Said

S = 1_000_000_000
START = 1_767_225_600 * S  # 2026-01-01
FILE = """
defaults: {resolve_after_s: 5, hysteresis: 0.5, stale_s: off, nan: {samples: 2}}
sources:
  cam:
    commanded: {OD: 26}
    parameters:
      TEMP_*:
        unit: degC
        warning: [-2, 2]
        error: [-5, 5]
        persist: {samples: 2, of: 3}
        rails: [-246.86]
        stuck_s: 6
      OD: {mode: relative, warning: [-2, 2], persist: {seconds: 3}, hysteresis: '10 %', rate: {warning: 20, error: 60, over_s: 8}}
      RD: {mode: relative, commanded: CMD, error: [-1, 1], when: {parameter: POWER, above: 0, settle_s: 2}, rate: {error: 2, per: second, over_s: 4, resolution: 0.5}}
      SLOPE: {rails: [-246.86], rate: {warning: 30, rise: {warning: 12, error: 90}, fall: {error: 40}, over_s: 6}, severity: {rise_error: 1, fall_warning: 0}}
      TURNS: {persist: {samples: 1}, resolve_after_s: 1, rate: {error: 15, over_s: 4}, dated: [{from: "2026-01-01T00:00:15Z", rate: {error: 15, over_s: 4, rise: off}}, {from: "2026-01-01T00:00:40Z", rate: {warning: 15, over_s: 4}}]}
      MODE: {mode: identity, equal: [1, 3], dated: [{from: "2026-01-01T00:00:20Z", equal: 2}]}
      WORD: {mode: identity, equal: [run, idle], nan: off}
      DATED:
        dated:
          - {from: "2026-01-01T00:00:10Z", warning: [-1, 1]}
          - {from: "2026-01-01T00:00:30Z", warning: [-3, 3], error: [-4, 4], persist: {samples: 1}}
"""  # noqa: E501
NUMBERS = ("TEMP_1", "TEMP_2", "OD", "RD", "CMD", "POWER", "MODE", "DATED", "FREE", "SLOPE", "TURNS")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> LimitBook:
    path = tmp_path_factory.mktemp("limits") / "limits.yaml"
    path.write_text(FILE, encoding="utf-8")
    return load_limits(path)


def night(seed: int, rows: int) -> Samples:
    """A wild night: values that wander over every limit, gaps, NaN, double times, a clock that jumps back."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0, 1, 1, 1, 1, 1, 2, 9, -4], rows)
    values = np.round(np.cumsum(rng.normal(0, 1.2, (rows, len(NUMBERS))), axis=0) * rng.choice([0, 1, 1], (rows, 1)), 1)
    values[:, 2] = 26 + values[:, 2] % 5 - 2.5
    values[:, 6] = rng.choice([1, 2, 3], rows, p=[0.5, 0.4, 0.1])
    values[rng.random(values.shape) < 0.08] = np.nan
    values[rng.random(values.shape) < 0.02] = -246.86
    values[rng.random(rows) < 0.3, 4] = np.nan
    words = tuple(str(word) for word in rng.choice(["run", "idle", "FAULT", ""], rows, p=[0.4, 0.3, 0.2, 0.1]))
    times = START + np.cumsum(steps).astype(np.int64) * S
    return Samples("cam", NUMBERS, times, values, texts={"WORD": words}, units={"TEMP_1": "deg C"})


def rows_of(samples: Samples, begin: int, end: int) -> Samples:
    texts = {name: words[begin:end] for name, words in samples.texts.items()}
    return replace(samples, times_ns=samples.times_ns[begin:end], values=samples.values[begin:end], texts=texts)


def said(engine: Engine, samples: Samples) -> list[Said]:
    return [(t.time_ns, t.alert, t.opened, t.severity) for t in engine.feed(samples)]


def fed_in_pieces(book: LimitBook, samples: Samples, cuts: Sequence[int], restart: bool) -> list[Said]:
    engine, out = Engine(book), []
    for begin, end in zip([0, *cuts], [*cuts, len(samples)], strict=True):
        out += said(engine, rows_of(samples, begin, end))
        if restart:
            engine = Engine(book, json.loads(json.dumps(engine.state())))
    return out


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 150), data=st.data())
def test_any_cuts_and_restarts_say_what_the_reference_says(
    book: LimitBook, seed: int, rows: int, data: st.DataObject
) -> None:
    samples = night(seed, rows)
    expected = sorted(Reference(book).feed(samples))
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=5)))
    assert sorted(fed_in_pieces(book, samples, cuts, restart=False)) == expected
    assert sorted(fed_in_pieces(book, samples, cuts, restart=True)) == expected


def test_a_wild_night_row_by_row_has_every_kind(book: LimitBook) -> None:
    samples = night(7, 400)
    expected = sorted(Reference(book).feed(samples))
    kinds = {alert.rsplit(":", 1)[1] for _, alert, _, _ in expected}
    assert kinds == {"low", "high", "rate", "rise", "fall", "identity", "nan", "railed"}
    assert sorted(fed_in_pieces(book, samples, list(range(1, 400)), restart=True)) == expected
