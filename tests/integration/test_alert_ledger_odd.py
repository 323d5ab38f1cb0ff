"""Alerts in the ledger whose names, words and numbers are odd, on SQLite and PostgreSQL."""

from __future__ import annotations

import math
import socket

import pytest

from services.alerts.account import acknowledge_all
from services.alerts.reading import read_situation
from services.core.ledger.alerts import open_alerts, raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.mutes import mute, unmute
from services.core.settings import LedgerSettings
from tests.unit.alerts.world import settings_of

SETTINGS = settings_of(group_s=0, flap_count=3, flap_window_s=600)


def test_names_that_are_patterns_mean_themselves(ledger: Ledger) -> None:
    odd, other = "housekeeping:roe:TEMP[1]:high", "housekeeping:roe:TEMP1:high"
    with ledger.begin() as conn:
        for name in (odd, other):
            raise_alert(conn, name, "words", 1000.0, 2)
        assert acknowledge_all(conn, [odd], 1001.0, "anna", None)[0] == [odd]
        assert mute(conn, odd, 5000.0, 1002.0, "anna", "known") == [odd]
    with ledger.read() as conn:
        held = read_situation(conn, SETTINGS, 1003.0).mutes[0]
        assert held.holds(odd, 1003.0)
        assert not held.holds(other, 1003.0)
    with ledger.begin() as conn:
        assert unmute(conn, odd, 1004.0, "anna")


def test_long_names_are_told_apart(ledger: Ledger) -> None:
    low, high = (f"housekeeping:roe:{'T' * 300}:{kind}" for kind in ("low", "high"))
    with ledger.begin() as conn:
        assert raise_alert(conn, low, "too low", 1000.0, 2)
        assert raise_alert(conn, high, "too high", 1000.0, 2)
        assert resolve_alert(conn, low, 1001.0)
        assert [row.message for row in open_alerts(conn)] == ["too high"]


@pytest.mark.parametrize(
    ("name", "message", "value"),
    [("nan", "words", math.nan), ("nul", "a\0b", 1.0), ("\udcff.fits", "\udcff", "\udcff")],
)
def test_whatever_the_words_are_the_alert_is_raised(ledger: Ledger, name: str, message: str, value: object) -> None:
    with ledger.begin() as conn:
        assert raise_alert(conn, name, message, 1000.0, 2, {"value": value, "trend": [[1.0, value]]})
    with ledger.begin() as conn:
        assert resolve_alert(conn, name, 1001.0)


def test_a_server_that_is_gone_without_a_word_is_noticed(postgres_url: str) -> None:
    ledger = open_ledger(LedgerSettings(url=postgres_url))
    with ledger.read() as conn, socket.socket(fileno=conn.connection.driver_connection.fileno()) as line:  # type: ignore[union-attr]
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 90_000
        line.detach()
    ledger.close()
