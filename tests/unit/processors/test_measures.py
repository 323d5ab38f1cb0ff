"""Measures of a reduced detector: what is known goes into header and metrics, what is not stays out."""

from __future__ import annotations

import math

from processors.card_text import format_card
from processors.reduction.measures import Measures


def test_only_what_is_known_becomes_a_card_or_a_number() -> None:
    measures = Measures("S1", sky_e=120.5, stars=0, fwhm_px=math.nan, reasons=("no stars",))
    assert measures.numbers() == {"sky_e": 120.5, "stars": 0}
    cards = list(measures.cards())
    assert {keyword: value for keyword, value, _ in cards} == {"NFSKY": 120.5, "NFSTARS": 0}
    assert all(len(format_card(*card)) == 80 for card in cards)


def test_a_spectrum_has_no_numbers_at_all() -> None:
    assert Measures("40").numbers() == {}


def test_the_record_holds_every_field() -> None:
    record = Measures("S1", cosmics=3).record()
    assert record["detector"] == "S1"
    assert record["cosmics"] == 3
    assert record["wcs_matched"] is None
    assert math.isnan(record["zero_point"])
