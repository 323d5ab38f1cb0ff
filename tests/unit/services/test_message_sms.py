"""The short message: one SMS of the GSM alphabet, whatever the alert, and never without its numbers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.message_facts import AlertView, facts_of
from services.alerts.message_kinds import SMS_WORD
from services.alerts.message_sms import cut, septets, sms_text, to_gsm7

# 3GPP TS 23.038, tables of sections 6.2.1 and 6.2.1.1, written down here a second time.
BASIC = set("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿")
BASIC |= set("abcdefghijklmnopqrstuvwxyzäöñüà")
EXTENSION = set("\f^{}\\[~]|€")
NOW = 1_795_232_434.0


def size(text: str) -> int:
    """Places in an SMS, by our own table."""
    assert set(text) <= BASIC | EXTENSION, set(text) - BASIC - EXTENSION
    return len(text) + sum(char in EXTENSION for char in text)


@given(st.text())
def test_every_text_has_a_form_in_the_alphabet(text: str) -> None:
    assert size(to_gsm7(text)) == septets(to_gsm7(text))


@given(st.text(), st.integers(0, 200))
def test_a_cut_text_fits(text: str, most: int) -> None:
    short = cut(to_gsm7(text), most)
    assert size(short) <= most and (short == to_gsm7(text) or size(to_gsm7(text)) > most)


@given(
    what=st.sampled_from(tuple(SMS_WORD)),
    site=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True),
    severity=st.sampled_from((1, 2)),
    words=st.tuples(st.text(max_size=200), st.text(max_size=400), st.text(max_size=80)),
    numbers=st.tuples(st.floats(), st.floats() | st.integers(-1000, 1000)),
    unit=st.sampled_from(("C", "°C", "mbar", "µm", "e-/ADU", "{x}^2", "")),
    others=st.integers(0, 2000),
)
def test_an_sms_is_one_and_keeps_its_numbers(
    what: Any,
    site: str,
    severity: int,
    words: tuple[str, str, str],
    numbers: tuple[float, float],
    unit: str,
    others: int,
) -> None:
    details = {"value": numbers[0], "limit": numbers[1], "unit": unit, "parameter": words[2]}
    facts = facts_of(AlertView(f"housekeeping:{words[0]}", severity, words[1], NOW, 1, details))
    text = sms_text(what, [facts] + [facts] * others, site, NOW)
    assert size(text) <= 160
    assert text.startswith(f"{site} S{severity} {SMS_WORD[what]}: ")
    gsm_unit = f" {to_gsm7(unit)}" if unit else ""
    assert f" {facts.value}{gsm_unit} limit {facts.limit}{gsm_unit}" in text
    assert not others or f" +{others} more" in text


def test_signs_that_an_sms_has_not_are_written_with_others() -> None:
    assert to_gsm7("−5 °C ≤ 1.5′ × 3″ ± 2 µm…") == "-5 C <= 1.5' x 3\" +- 2 um.."


def test_a_long_name_is_cut_so_that_the_sms_is_full_and_no_more() -> None:
    details = {"value": -1.2345e-100, "limit": 4.0, "unit": "e-/ADU/{pix}", "parameter": "pressure_of_a_hose_" * 9}
    facts = facts_of(AlertView("housekeeping:roe:x:high", 2, "too high", NOW, 1, details))
    text = sms_text("raised", [facts] * 13, "a" * 32, NOW)
    assert size(text) == 160, text
    assert text.endswith(" limit 4 e-/AD..pix} +12 more")


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (
            AlertView("disk:archive", 1, "/archive is 93 % full", NOW),
            "lasilla S1 ALERT: disk:archive. /archive is 93 % full, 03:40 UTC",
        ),
        (
            AlertView("housekeeping:dome:Ölstand µ:low", 2, "Ölstand zu tief", NOW, 1, {"value": 3.5, "unit": "°C"}),
            "lasilla S2 ALERT: housekeeping:dome:Ölstand u:low 3.5 C, 03:40 UTC. Ölstand zu tief",
        ),
    ],
)
def test_how_it_reads(view: AlertView, text: str) -> None:
    assert time.strftime("%H:%M", time.gmtime(NOW)) == "03:40"
    assert sms_text("raised", [facts_of(view)], "lasilla", NOW + 60) == text


def test_tests_and_summaries_have_words_too() -> None:
    assert sms_text("test", [], "lasilla", NOW) == "lasilla TEST: this is a test message, 03:40 UTC"
    assert sms_text("summary", [], "lasilla", NOW) == "lasilla SUMMARY: nothing is open, 03:40 UTC"
