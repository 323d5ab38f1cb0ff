"""`limits replay` tells the alerts that the housekeeper told: the same rows, cut, polled and restarted as in life."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.housekeeping.limits.engine import Engine
from services.housekeeping.limits.replay import episodes, parts_of, replay, rows_of
from services.housekeeping.limits.transition import Transition
from services.housekeeping.past import Past
from services.housekeeping.samples import Samples
from tests.unit.limits.world import START, S, limits

RULES = """
T: {warning: [-1, 1], error: [-5, 5], persist: {samples: 2}, resolve_after_s: 20, stale_s: 40, rails: [-200]}
P: {rate: {warning: 30, over_s: 20}, persist: {seconds: 4}, resolve_after_s: 10, stale_s: 40, nan: {samples: 3}}
V: {error: [10, 30], when: {parameter: sw, above: 0.5, settle_s: 10}, stale_s: 60, resolve_after_s: 5}
"""
LENGTH = 400


def night(seed: int, faults: list[tuple[str, int, int]]) -> Samples:
    """Ten minutes at 1 Hz with faults (what, from, for so long)."""
    noise = np.random.default_rng(seed)
    times = np.arange(LENGTH)
    values = np.stack([noise.normal(0, 0.2, LENGTH), noise.normal(5, 0.1, LENGTH), np.full(LENGTH, 20.0)], axis=1)
    switch = np.ones((LENGTH, 1))
    keep = np.ones(LENGTH, dtype=bool)
    for what, begin, length in faults:
        here = slice(begin, begin + length)
        if what == "silent":
            keep[here] = False
        elif what == "off":
            switch[here], values[here, 2] = 0.0, 0.0
        elif what == "fail":
            values[here, 2] = 0.0
        elif what == "drift":
            values[here, 1] += np.arange(len(values[here]))
        elif what == "nan":
            values[here, 1] = np.nan
        else:
            values[here, 0] = {"warm": 2.0, "hot": 8.0, "rail": -200.0}[what]
    stamps = START + times * S
    return Samples("cam", ("T", "P", "V", "sw"), stamps[keep], np.hstack([values, switch])[keep])


def told(said: list[Transition]) -> list[tuple[str, int, int | None, int]]:
    """Alerts with their beginnings and ends (of silences the tick that noticed: as exact as the clock's step)."""
    found = []
    for one in episodes(said):
        step = 15 * S if one.first.kind == "stale" else 1
        end = None if one.resolved_ns is None else one.resolved_ns // step
        found.append((one.first.alert, one.first.time_ns // step, end, one.worst.severity))
    return found


FAULT = st.tuples(
    st.sampled_from(["warm", "hot", "rail", "drift", "nan", "off", "fail", "silent"]),
    st.integers(5, LENGTH - 100),
    st.integers(1, 90).filter(lambda length: length not in (*range(32, 48), *range(52, 68))),  # polls are coarser
)


@settings(max_examples=6)
@given(
    seed=st.integers(0, 99),
    faults=st.lists(FAULT, max_size=5),
    lags=st.lists(st.integers(1, 7), min_size=1, max_size=20),
    restart_every=st.integers(5, 60),
)
def test_the_same_alerts(
    tmp_path: Path, seed: int, faults: list[tuple[str, int, int]], lags: list[int], restart_every: int
) -> None:
    book = limits(tmp_path, RULES)
    samples = night(seed, faults)
    recorded = replay(Engine(book), book, parts_of(book, [samples]))

    engine, past, live, read = Engine(book), Past({"cam": 172_800.0}, None), list[Transition](), 0
    second, polls = 0, 0
    for lag in itertools.cycle(lags):
        if second >= LENGTH:
            break
        second, polls = second + lag, polls + 1
        now = START + second * S
        end = int(np.searchsorted(samples.times_ns, now, side="right"))
        part = rows_of(samples, read, end)
        said = engine.feed(part) + engine.tick(now)
        past.see([part])
        live += past.sift(said, (), now)
        read = end
        if polls % restart_every == 0:
            engine = Engine(book, json.loads(json.dumps(engine.state())))
            past = Past({"cam": 172_800.0}, json.loads(json.dumps(past.state())))

    def names(said: list[Transition]) -> list[tuple[str, int]]:
        return sorted((one.first.alert, one.worst.severity) for one in episodes(said))

    rows_only = [one for one in live if one.kind != "stale"]
    assert told(rows_only) == told([one for one in recorded if one.kind != "stale"])
    assert names(live) == names(recorded)
