"""Steps of the limits become alerts once, whoever died in between; what nobody holds any more is ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from services.core.ledger.alert_schema import alerts
from services.core.ledger.alerts import open_alerts, raise_alert
from services.core.ledger.engine import Ledger
from services.housekeeping.absence import STANDSTILL, Absences, Standstill
from services.housekeeping.alerting import AlertClerk, unreachable
from services.housekeeping.limits.transition import Transition
from services.housekeeping.samples import Samples
from services.housekeeping.store import Store, open_store

T0 = 1_700_000_000
pytestmark = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "housekeeping.sqlite", keep_s=8000)
    yield opened
    opened.close()


class Away:
    """A source that has been away for a while."""

    busy = False
    trouble = "no route"

    def __init__(self, name: str, away_s: float) -> None:
        self.name = name
        self._away_s = away_s

    def away_s(self, clock: float) -> float:
        return self._away_s


def step(opened: bool, source: str = "roe", parameter: str = "T", kind: str = "high") -> Transition:
    alert = f"housekeeping:{source}:{parameter}:{kind}"
    return Transition(alert, opened, 2, "T is too warm" if opened else "T is well", T0 * 10**9, 5.0, 4.0, "K", "HK_OOL")


def write(ledger: Ledger, clerk: AlertClerk, *steps: Transition, samples: tuple[Samples, ...] = ()) -> Any:
    with ledger.begin() as conn:
        clerk.write(conn, steps, {("roe", "T"): {"error_high": 4.0}}, samples, float(T0))
        return conn.execute(select(alerts).where(alerts.c.alert == steps[-1].alert)).one()


def open_names(ledger: Ledger) -> set[str]:
    with ledger.read() as conn:
        return {row.alert for row in open_alerts(conn)}


def test_steps_that_the_ledger_has_are_not_repeated_by_the_next_process(ledger: Ledger, store: Store) -> None:
    first = write(ledger, AlertClerk(store), step(True), step(False))
    assert (first.open, first.episode, first.details["step"]) == (False, 1, 2)
    # when the same rows are read again: the counts were not stored
    again = write(ledger, AlertClerk(store), step(True), step(False), step(True))
    # then only the third step is new
    assert (again.open, list(again.raises), again.episode, again.details["step"]) == (True, [T0, T0], 2, 3)


def test_a_file_that_was_made_anew_counts_anew(ledger: Ledger, store: Store, tmp_path: Path) -> None:
    write(ledger, AlertClerk(store), step(True), step(False))
    anew = open_store(tmp_path / "anew.sqlite")
    again = write(ledger, AlertClerk(anew), step(True))
    anew.close()
    assert (again.open, again.episode, again.details["step"]) == (True, 2, 1)


def test_an_alert_has_its_numbers_and_the_trend_of_the_last_hour(ledger: Ledger, store: Store) -> None:
    seconds = np.arange(0, 7200, 60)
    stored = Samples("roe", ("U", "T"), (T0 + seconds) * 10**9, np.stack([seconds * 0.0, seconds * 1.0], axis=1))
    store.commit([stored], now=T0 + 7200.0)
    news = Samples("roe", ("U", "T"), np.array([T0 + 7200]) * 10**9, np.array([[0.0, 7200.0]]))
    other = Samples("drive", ("T",), np.array([T0 + 7260]) * 10**9, np.array([[1.0]]))
    details = write(ledger, AlertClerk(store), step(True), samples=(news, other)).details
    assert details["trend"] == [[float(T0 + second), float(second)] for second in range(3600, 7201, 60)]
    assert {key: details[key] for key in ("value", "limit", "unit", "flag", "source", "parameter")} == {
        "value": 5.0, "limit": 4.0, "unit": "K", "flag": "HK_OOL", "source": "roe", "parameter": "T"
    }  # fmt: skip
    assert (details["limits"], details["trend_unit"]) == ({"error_high": 4.0}, "K")


def test_what_nobody_holds_is_ended_where_it_is_known_to_be_over(ledger: Ledger, store: Store, tmp_path: Path) -> None:
    # given alerts of sources that answer, that do not, that the settings have no more, and of another host
    clerk = AlertClerk(store)
    write(ledger, clerk, step(True, "roe"), step(True, "roe", "held"), step(True, "mute"), step(True, "gone"))
    other = open_store(tmp_path / "other.sqlite")
    write(ledger, AlertClerk(other), step(True, "theirs"))
    other.close()
    for name in ("mute", "gone"):
        Absences(ledger, {name: 60.0}, store.identity).look([Away(name, 90.0)], float(T0), 0.0)  # type: ignore[list-item]
    Standstill(ledger).stands("disk full", 90.0, float(T0))
    # when what is left is settled
    with ledger.begin() as conn:
        held = [step(True, "roe", "held").alert]
        over = clerk.settle(conn, {"roe": True, "mute": False}, held, T0 + 1.0)
    # then it is over where the source says so, and where nobody of ours would ever say it
    assert set(over) == {step(True, "roe").alert, step(True, "gone").alert, unreachable("gone")}
    left = {held[0], step(True, "mute").alert, unreachable("mute"), step(True, "theirs").alert, STANDSTILL}
    assert open_names(ledger) == left


def test_alerts_that_are_not_of_housekeeping_are_not_ended(ledger: Ledger, store: Store) -> None:
    # given a disk of a host that is called as a source is
    with ledger.begin() as conn:
        raise_alert(conn, "disk:roe:archive:full", "90 %", float(T0))
        assert AlertClerk(store).settle(conn, {"roe": True}, [], T0 + 1.0) == []
    assert open_names(ledger) == {"disk:roe:archive:full"}


def test_a_source_that_is_away_is_told_once_and_over_when_it_answers(ledger: Ledger, store: Store) -> None:
    def look(absences: Absences, away_s: float, trouble: str = "no route") -> list[str]:
        source = Away("roe", away_s)
        source.trouble = trouble
        absences.look([source], float(T0), 0.0)  # type: ignore[list-item]
        with ledger.read() as conn:
            return [row.message for row in open_alerts(conn)]

    said = "housekeeping source roe has not answered for 90 s: no route"
    absences = Absences(ledger, {"roe": 60.0}, store.identity)
    assert look(absences, 90.0) == look(absences, 95.0) == [said]
    # the next process has not waited for long yet, but heard nothing either
    again = Absences(ledger, {"roe": 60.0}, store.identity)
    assert look(again, 1.0) == [said]
    assert look(again, 0.0, trouble="") == []
