"""A metrics spool that nobody empties is told to a person once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.conditions.base import OpenAlert
from services.conditions.metrics import SpoolFacts, compare, decide, read_spool
from services.core.condition_settings import MetricsConditions
from services.core.metrics.drainage import gather, settle, take
from services.core.metrics.spool import Spool

SETTINGS = MetricsConditions()
ALERT = "daemon:h/metrics:undelivered"
OPEN = {ALERT: OpenAlert(1, "", 0.0, 0.0, {})}


def told(facts: SpoolFacts, *, is_open: bool = False) -> list[str]:
    return [finding.message for finding in decide(facts, SETTINGS, "h", "http://db", OPEN if is_open else {})]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "metrics.sqlite", "s", keep_points=1000)


def test_what_nobody_takes_for_an_hour_is_told_until_something_leaves(spool: Spool) -> None:
    memory: dict[str, Any] = {}

    def look(steady: float) -> SpoolFacts:
        return compare(read_spool(spool.path, 1000, 10**9), memory, steady)

    assert look(0.0) == SpoolFacts(0, None, 0.0, moves=True)
    for number in range(20):
        spool.write_lines([f"m v={number} {number}"])
    assert told(look(100.0)) == told(look(3600.0)) == []
    gather(spool)  # what the daemon does meanwhile is no delivery
    spool.write_lines(["m v=1 1"])
    (text,) = told(look(3701.0))
    assert "http://db has not taken the metrics of h for 60 min: 21 points wait" in text
    # a new notify daemon does not take it back
    memory.clear()
    assert told(look(3731.0), is_open=True) and not told(look(3731.0))
    settle(spool, take(spool, 1))
    assert told(look(3761.0), is_open=True) == []


def test_a_spool_that_runs_full_is_told_though_its_oldest_points_go(spool: Spool) -> None:
    memory: dict[str, Any] = {}
    for steady in (0.0, 10.0):
        for number in range(1200):
            spool.write_lines([f"m v={number} {number}"])
        (text,) = told(compare(read_spool(spool.path, 1000, 10**9), memory, steady))
        assert "full: the oldest go" in text
    assert memory["stuck"][1] == 0.0


def test_no_spool_is_none_that_is_stuck(tmp_path: Path) -> None:
    assert told(compare(read_spool(tmp_path / "none.sqlite", 1000, 1000), {}, 1e6)) == []
